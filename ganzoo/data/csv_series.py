"""Time series of tables: windows of columns of a CSV or Parquet file, and of US macroeconomic quarters."""

from collections.abc import Sequence
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganzoo.data.base import at_least
from ganzoo.data.cells import Cells, read_cells, refuse_absent
from ganzoo.data.series import Series
from ganzoo.data.stream import Samples

REMEDY = "fill such cells, leave out their rows, or take other --data.columns"


class CSVSeries(Series):
    """Windows of a table's columns, whose rows are steps in order of time. The first rows train, the last ones are held out.

    Args:
        path: a file of CSV with a header (delimited by commas, semicolons or tabs), or Parquet.
        columns: names of the columns.
        length: rows of a window, at least 2.
        stride: rows from the beginning of a window to that of the next.
        growth: those of the columns that become 100 (log x_t - log x_t-1), growth in percent.
        heavy_tails: tails are made light before the game, and heavy again in tables.
        held_out: share of the rows; of 0 none.
        label: a column of text whose value in the last row of a window is the window's class, for conditional variants.
        labels: its values, in the order of the classes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no table, or has no such column; a cell that is no number, or is missing; fewer rows than a window
            has; a label that is none of `labels`.
    """

    held_out_hint = "set --data.held_out to a share of the rows"

    def __init__(
        self,
        *,
        path: str,
        columns: list[str],
        length: int = 24,
        stride: int = 1,
        growth: list[str] | None = None,
        heavy_tails: bool = False,
        held_out: float = 0.2,
        label: str | None = None,
        labels: list[str] | None = None,
        batch_size: int = 128,
        **loading: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **loading)
        at_least(2, length=length)
        at_least(1, stride=stride, columns=len(columns))
        if not 0 <= held_out < 1:
            raise ValueError(f"held_out is a share of the rows, at least 0 and below 1, not {held_out:g}")
        if (label is None) != (not labels):
            raise ValueError("give both --data.label, a column, and --data.labels, its values, or neither")
        if strangers := set(growth or []) - set(columns):
            raise ValueError(f"--data.growth names {min(strangers)}, which is none of --data.columns")
        self.path, self.taken, self.growth = path, columns, growth or []
        self.columns = [f"{name}_growth" if name in self.growth else name for name in columns]
        self.shape, self.stride = (length, len(columns)), stride
        self.heavy_tails, self.share = heavy_tails, held_out
        self.label, self.labels = label, labels or []
        self.classes = len(self.labels) or None

    def cells(self) -> Cells:
        return read_cells(self.path)

    def splits(self) -> tuple[Samples, Samples | None]:
        cells = self.cells()
        refuse_absent([*self.taken, *([self.label] if self.label else [])], cells, self.path)
        values = values_of(cells, self.taken, self.path)
        labels = self.numbered(cells.columns[self.label]) if self.label else None
        if self.growth:
            values, labels = self.grown(values), None if labels is None else labels[1:]
        first = len(values) - round(self.share * len(values))  # of the held-out rows
        self.refuse_short(first, "train")
        self.learn_scale(values[:first], self.heavy_tails)
        training = self.windows(values[:first], None if labels is None else labels[:first])
        if first == len(values):
            return training, None
        self.refuse_short(len(values) - first, "are held out")
        return training, self.windows(values[first:], None if labels is None else labels[first:])

    def grown(self, values: np.ndarray) -> np.ndarray:
        """Without the first row."""
        made = values[1:].copy()
        for column in (self.taken.index(name) for name in self.growth):
            if (values[:, column] <= 0).any():
                row = int((values[:, column] <= 0).argmax())
                what = f"{self.taken[column]} is {values[row, column]:g} in row {row + 1}"
                raise ValueError(f"{self.path}: {what}, and only what is above 0 can grow")
            made[:, column] = 100 * np.diff(np.log(values[:, column]))
        return made

    def numbered(self, cells: Sequence[str]) -> np.ndarray:
        """The labels' classes, int64 [rows]."""
        for row, cell in enumerate(cells):
            if cell not in self.labels:
                raise ValueError(f"{self.path}: {self.label} is {cell!r} in row {row + 1}, which is none of --data.labels")
        return np.array([self.labels.index(cell) for cell in cells])

    def windows(self, values: np.ndarray, labels: np.ndarray | None) -> Samples:
        length = self.shape[0]
        starts = np.arange(0, len(values) - length + 1, self.stride)
        rows = starts[:, None] + np.arange(length)  # [windows, length]
        return Samples(self.scaled(values)[rows], None if labels is None else torch.from_numpy(labels[rows[:, -1]]))

    def refuse_short(self, rows: int, what: str) -> None:
        if rows < self.shape[0]:
            raise ValueError(
                f"{self.path}: {rows} rows {what}, fewer than the {self.shape[0]} of a window: shorten --data.length, or "
                "change --data.held_out"
            )


class Macro(CSVSeries):
    """US macroeconomic quarters, 1959 to 2009, as statsmodels ships them: the growth of output, consumption and investment in
    percent a quarter, and inflation, unemployment and the rate of treasury bills in percent.

    The last fifth of the quarters is held out: the financial crisis is in it.

    Args:
        columns, growth, length, ...: as `CSVSeries`; other columns are realgovt, realdpi, cpi, m1, pop and realint.

    Raises:
        ValueError: statsmodels is not installed; and as `CSVSeries`.
    """

    def __init__(
        self,
        *,
        columns: list[str] = ["realgdp", "realcons", "realinv", "infl", "unemp", "tbilrate"],  # noqa: B006 - never changed
        growth: list[str] = ["realgdp", "realcons", "realinv"],  # noqa: B006
        length: int = 12,
        batch_size: int = 64,
        **series: Any,
    ) -> None:
        super().__init__(
            path="statsmodels' macrodata", columns=columns, growth=growth, length=length, batch_size=batch_size, **series
        )

    def cells(self) -> Cells:
        found = find_spec("statsmodels")  # only where it is: importing it takes seconds
        if found is None or found.origin is None:
            raise ValueError("these quarters come with statsmodels: pip install 'ganzoo-lightning[series]'")
        return read_cells(Path(found.origin).parent / "datasets" / "macrodata" / "macrodata.csv")


def values_of(cells: Cells, columns: Sequence[str], where: str | Path, remedy: str = REMEDY) -> np.ndarray:
    """Columns of numbers, float64 [rows, columns]; raises ValueError for the first cell that is no number."""
    return np.stack([numbers(cells.columns[name], f"{where}: {name}", remedy) for name in columns], axis=1)


def numbers(cells: Sequence[str], column: str, remedy: str) -> np.ndarray:
    """float64 [rows]."""
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            values[row] = float(cell)
        except ValueError as error:
            what = f"is {cell!r}, which is no number," if cell.strip() else "is missing"
            raise ValueError(f"{column} {what} in row {row + 1}: {remedy}") from error
        if not isfinite(values[row]):
            raise ValueError(f"{column} is missing ({cell}) in row {row + 1}: {remedy}")
    return values
