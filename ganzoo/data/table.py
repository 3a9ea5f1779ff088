"""Rows of tables, of which cells are missing."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.base import DataModule
from ganzoo.data.cells import Cells, read_cells, refuse_absent
from ganzoo.data.columns import Column, encoded, parts
from ganzoo.data.stream import Samples

GIVEN, HIDDEN, MISSING = 1.0, 0.0, -1.0  # of cells, in masks


class RowSamples(Samples):
    """`(real, mask)`: rows of numbers in [0, 1] and one-hot categories, and what is known of each cell.

    Args:
        rows: float32 [M, width], finite.
        mask: float32 [M, columns]: 1 where a cell is given; 0 where it is hidden, though its value is known; -1 where it is
            missing, and the row has what is usual in the column.
    """

    def __init__(self, rows: np.ndarray, mask: np.ndarray) -> None:
        super().__init__(rows)
        self.mask = torch.from_numpy(mask)

    def __reduce__(self) -> tuple[Any, ...]:
        return RowSamples, (self.data, self.mask.numpy())

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        return *super().__getitems__(indices), self.mask[torch.from_numpy(np.asarray(indices))]

    def on(self, device: torch.device) -> Callable[[Tensor], tuple[Tensor, ...]]:
        rows, mask = super().on(device), self.mask.to(device)
        return lambda indices: (*rows(indices), mask[indices])


class Incomplete(DataModule):
    """Parent of tables with gaps: a round's batches are `(real, mask)` (`RowSamples`), [N, width] and [N, columns].

    Numbers are scaled so that what is given of them in training rows fills [0, 1]; beyond that are only cells that are hidden
    or held out. `units` say how this is undone.

    Args:
        cells: the table.
        where: its name, for errors.
        names: the columns to take; None: all.
        categorical: those of them that are categories, besides all that hold text.
        missing: share of the cells that are hidden, completely at random, besides those that are missing: to be measured by.
        missing_seed: of the draw of these.
        held_out: share of the rows that do not train.
        split_seed: of the draw of these.

    Raises:
        ValueError: no such column, one without values, text among numbers; shares outside 0 .. 1; no cell missing or hidden.
    """

    kind = "rows"
    held_out_hint = "set --data.held_out to a share of the rows"

    def __init__(
        self,
        cells: Cells,
        where: str,
        *,
        names: list[str] | None = None,
        categorical: list[str] | None = None,
        missing: float = 0.0,
        missing_seed: int = 0,
        held_out: float = 0.1,
        split_seed: int = 0,
        batch_size: int = 128,
        **loading: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **loading)
        for name, share in (("missing", missing), ("held_out", held_out)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} is a share, at least 0 and below 1, not {share:g}")
        names = list(cells.columns) if names is None else names
        refuse_absent([*names, *(categorical or [])], cells, where)
        described = [Column.of(name, cells.columns[name], name in (categorical or []) or None) for name in names]
        rows = encoded(described, cells.columns)
        cut = np.cumsum([0, *(column.width for column in described)])[:-1]
        there = ~np.isnan(rows[:, cut])  # [M, columns]
        hidden = there & (np.random.default_rng(missing_seed).random(there.shape) < missing)
        if not hidden.any() and there.all():
            raise ValueError(f"no cell of {where} is missing: set --data.missing to a share of them to hide, such as 0.2")
        order = np.random.default_rng(split_seed).permutation(len(rows))
        kept, self.cut = np.sort(order[round(len(rows) * held_out) :]), np.sort(order[: round(len(rows) * held_out)])
        self.kept = kept
        given = there & ~hidden
        self.columns = tuple(
            scaled(column, part[kept][given[kept, at]])
            for at, (column, part) in enumerate(zip(described, parts(described, rows), strict=True))
        )
        self.rows = usual(self.columns, encoded(self.columns, cells.columns), given, kept)
        self.mask = np.where(given, GIVEN, np.where(hidden, HIDDEN, MISSING)).astype(np.float32)
        self.shape = (self.rows.shape[1],)
        self.widths = tuple(column.width for column in self.columns)

    def units(self) -> dict[str, Any]:
        return {"kind": self.kind, "columns": [column.said() for column in self.columns]}

    def splits(self) -> tuple[Samples, Samples | None]:
        held_out = RowSamples(self.rows[self.cut], self.mask[self.cut]) if len(self.cut) else None
        return RowSamples(self.rows[self.kept], self.mask[self.kept]), held_out

    def targets_of(self, samples: Samples) -> Samples:
        """The rows of which all is known; raises ValueError if there are none."""
        assert isinstance(samples, RowSamples)
        whole = (samples.mask != MISSING).all(1).numpy()
        if not whole.any():
            raise ValueError(
                "no row of the table is complete, and samples are compared with complete ones: leave out --evaluation"
            )
        return Samples(samples.data[whole])

    def real_samples(self, n: int) -> Tensor:
        """The first n training rows, with what is usual in gaps, float32 [n, width]."""
        self.setup()
        return torch.from_numpy(self.train.data[:n])


class Table(Incomplete):
    """A table in a CSV or Parquet file: columns of numbers and of categories, some of whose cells are missing.

    A cell is missing if it is empty or one of NA, N/A, NaN, null, None and ?, in capitals or not.

    Args:
        path: a file of CSV with a header (delimited by commas, semicolons or tabs), or Parquet.
        take: names of the columns to take; None: all.
        categorical: names of those that are categories; columns of text are, without being named.
        missing: share of the cells that are hidden, completely at random, besides those that are missing: to be measured by.
        missing_seed: of the draw of these.
        held_out: share of the rows that do not train.
        split_seed: of the draw of these.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no table in it, no such column, one without values, text among numbers; shares outside 0 .. 1; no cell
            missing or hidden.
    """

    def __init__(
        self,
        *,
        path: str,
        take: list[str] | None = None,
        categorical: list[str] | None = None,
        missing: float = 0.0,
        missing_seed: int = 0,
        held_out: float = 0.1,
        split_seed: int = 0,
        batch_size: int = 128,
        **loading: Any,
    ) -> None:
        super().__init__(
            read_cells(path),
            path,
            names=take,
            categorical=categorical,
            missing=missing,
            missing_seed=missing_seed,
            held_out=held_out,
            split_seed=split_seed,
            batch_size=batch_size,
            **loading,
        )


class BreastCancer(Incomplete):
    """Wisconsin's breast cancer (diagnostic) as scikit-learn ships it: 569 rows of 30 numbers, the paper's "Breast".

    Args:
        missing: share of the cells that are hidden, completely at random.
        missing_seed: of the draw of these.
        held_out: share of the rows that do not train.
        split_seed: of the draw of these.
    """

    def __init__(
        self,
        *,
        missing: float = 0.2,
        missing_seed: int = 0,
        held_out: float = 0.1,
        split_seed: int = 0,
        batch_size: int = 128,
        **loading: Any,
    ) -> None:
        from sklearn.datasets import load_breast_cancer  # which takes a second

        of = load_breast_cancer()
        cells = {
            str(name): [repr(float(value)) for value in column]
            for name, column in zip(of.feature_names, of.data.T, strict=True)
        }
        super().__init__(
            Cells(cells),
            "the table",
            missing=missing,
            missing_seed=missing_seed,
            held_out=held_out,
            split_seed=split_seed,
            batch_size=batch_size,
            **loading,
        )


def scaled(column: Column, given: np.ndarray) -> Column:
    """The column, whose range is that of the cells [N, width] that are given in training.

    Raises:
        ValueError: there are none.
    """
    if not len(given):
        raise ValueError(f"column {column.name} has no value left in any training row: leave it out, or hide fewer cells")
    if column.categories:
        return column
    low, high = (column.low + float(share) * (column.high - column.low) for share in (given.min(), given.max()))
    return column._replace(low=low, high=high)


def usual(columns: Sequence[Column], rows: np.ndarray, given: np.ndarray, training: np.ndarray) -> np.ndarray:
    """The rows, with each column's mean over cells given in training where there is no value: [M, width]."""
    filled = [
        np.where(np.isnan(part), part[training][given[training, at]].mean(0), part)
        for at, part in enumerate(parts(columns, rows))
    ]
    return np.concatenate(filled, axis=1)
