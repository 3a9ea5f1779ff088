"""Rows of tables, of which cells are missing."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.base import DataModule, at_least
from ganzoo.data.cells import Cells, read_cells, refuse_absent
from ganzoo.data.columns import Column, encoded, parts
from ganzoo.data.stream import Samples

# A mask says of each cell what is known of it. A game looks at given ones alone: hidden ones are there to measure by.
GIVEN, HIDDEN, MISSING = 1.0, 0.0, -1.0


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
        take: names of the columns to take; None: all.
        categorical: names of those that are categories; columns of text are, without being named.
        missing: share of the cells that are hidden, completely at random, besides those that are missing: to be measured by.
        missing_seed: of the draw of these.
        held_out: share of the rows that do not train.
        split_seed: of the draw of these.

    Raises:
        ValueError: no such column, one without values, text among numbers; shares outside 0 .. 1, or no row left to train on; a
            seed below 0; no cell missing or hidden.
    """

    kind = "rows"
    held_out_hint = "set --data.held_out to a share of the rows"

    def __init__(
        self,
        cells: Cells,
        where: str,
        *,
        take: list[str] | None = None,
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
        at_least(0, missing_seed=missing_seed, split_seed=split_seed)
        categorical = categorical or []
        refuse_absent([*(take or []), *categorical], cells, where)
        columns = [Column.of(name, cells.columns[name], name in categorical or None) for name in take or cells.columns]
        order = np.random.default_rng(split_seed).permutation(len(cells))
        held = round(held_out * len(cells))
        if held == len(cells):
            raise ValueError(
                f"none of {where}'s {held} rows is left to train on: set --data.held_out to less than {held_out:g}"
            )
        self.training, self.others = np.sort(order[held:]), np.sort(order[:held])  # rows

        there = ~np.isnan(np.stack([part[:, 0] for part in parts(columns, encoded(columns, cells.columns))], axis=1))
        hidden = there & (np.random.default_rng(missing_seed).random(there.shape) < missing)  # [rows, columns]
        if there.all() and not hidden.any():
            raise ValueError(f"no cell of {where} is missing: set --data.missing to a share of them to hide, such as 0.2")
        self.mask = np.select([hidden, there], [HIDDEN, GIVEN], MISSING).astype(np.float32)
        self.columns, self.rows = scaled(columns, cells, self.mask == GIVEN, self.training)
        self.shape = (self.rows.shape[1],)
        self.widths = tuple(column.width for column in columns)

    def units(self) -> dict[str, Any]:
        return {"kind": self.kind, "columns": [column.said() for column in self.columns]}

    def splits(self) -> tuple[Samples, Samples | None]:
        training, others = (
            RowSamples(self.rows[of], self.mask[of]) if len(of) else None for of in (self.training, self.others)
        )
        assert training is not None
        return training, others

    def targets_of(self, samples: Samples) -> Samples:
        """The rows of which all is known; raises ValueError if there are none."""
        whole = complete(samples)
        if not whole.any():
            raise ValueError("samples are measured against complete rows, and the table has none: leave out --evaluation")
        return Samples(samples.data[whole])

    def real_samples(self, n: int) -> Tensor:
        """The first n training rows of which all is known, or, where there are none, with what is usual in gaps: [n, width]."""
        self.setup()
        whole = complete(self.train)
        return torch.from_numpy(self.train.data[whole if whole.any() else slice(None)][:n])


def complete(samples: Samples) -> np.ndarray:
    """Of which rows all is known, bool [M]."""
    assert isinstance(samples, RowSamples)
    return (samples.mask != MISSING).all(1).numpy()


class Table(Incomplete):
    """A table in a CSV or Parquet file: columns of numbers and of categories, some of whose cells are missing.

    A cell is missing if it is empty or one of NA, N/A, NaN, null, None and ?, in capitals or not.

    Args:
        path: a file of CSV with a header (delimited by commas, semicolons or tabs), or Parquet.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no table in it; and as `Incomplete`.
    """

    def __init__(self, *, path: str, **table: Any) -> None:
        super().__init__(read_cells(path), path, **table)


class BreastCancer(Incomplete):
    """Wisconsin's breast cancer (diagnostic) as scikit-learn ships it: 569 rows of 30 numbers, the paper's "Breast".

    It has no gaps: `missing` hides some cells.
    """

    def __init__(self, *, missing: float = 0.2, **table: Any) -> None:
        from sklearn.datasets import load_breast_cancer  # which takes a second to import

        of = load_breast_cancer()
        columns = zip(of.feature_names, of.data.T, strict=True)
        cells = Cells({str(name): [repr(float(value)) for value in values] for name, values in columns})
        super().__init__(cells, "the table", missing=missing, **table)


def scaled(
    columns: Sequence[Column], cells: Cells, given: np.ndarray, training: np.ndarray
) -> tuple[tuple[Column, ...], np.ndarray]:
    """The columns, whose range is that of what is given in training, and the rows [M, width] in it, in whose gaps is the mean
    of the same.

    Args:
        given: which cells are, bool [M, columns].
        training: rows that train.

    Raises:
        ValueError: nothing of a column is given in training.
    """
    found, rows = [], []
    for at, column in enumerate(columns):
        known = training[given[training, at]]
        if not len(known):
            raise ValueError(f"column {column.name} has no value left in any training row: leave it out, or hide fewer cells")
        if not column.categories:
            numbers = [float(cells.columns[column.name][row]) for row in known]
            column = column._replace(low=min(numbers), high=max(numbers))
        made = column.encoded(cells.columns[column.name])
        found.append(column)
        rows.append(np.where(np.isnan(made), made[known].mean(0), made))
    return tuple(found), np.concatenate(rows, axis=1)
