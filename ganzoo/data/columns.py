"""Columns of tables: what is in them, as numbers in [0, 1] that networks see, and back as they stood."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

MISSING = frozenset(["", "na", "n/a", "nan", "null", "none", "?"])  # whatever their case: what stands for no value
MOST_CATEGORIES = 100
MOST_DECIMALS = 12  # that are counted: more are those of binary fractions


class Column(NamedTuple):
    """One column: numbers, or categories if it has any. As JSON it is a dictionary of these.

    Args:
        low, high: the range of numbers that becomes [0, 1].
        decimals: digits after the point that the numbers have at most; None: many.
        categories: the texts that can stand here.
    """

    name: str
    low: float = 0.0
    high: float = 1.0
    decimals: int | None = None
    categories: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, cells: Sequence[str], categorical: bool | None = None) -> Self:
        """What the cells that are there tell. Numbers are told from categories by themselves, if nobody says which they are.

        Raises:
            ValueError: no cell has a value; text among numbers; more than 100 categories.
        """
        there = [cell.strip() for cell in cells if not is_missing(cell)]
        if not there:
            raise ValueError(f"column {name} has no value in any row: leave it out")
        text = [cell for cell in there if number(cell) is None]
        if categorical is None:
            categorical = len(text) > len(there) / 2
        if categorical:
            return cls(name, categories=refuse_too_many(name, tuple(sorted(set(there)))))
        if text:
            raise ValueError(
                f"column {name} is of numbers, and has the text {text[0]!r}: correct it, or name the column in "
                "--data.categorical"
            )
        numbers = [value for cell in there if (value := number(cell)) is not None]
        return cls(name, min(numbers), max(numbers), decimals_of(there))

    @classmethod
    def read(cls, said: dict[str, Any]) -> Self:
        """From JSON."""
        return cls(**said | {"categories": tuple(said.get("categories", ()))})

    def said(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict() | {"categories": list(self.categories)}

    @property
    def width(self) -> int:
        """Numbers that networks see: one, or one for each category."""
        return len(self.categories) or 1

    def encoded(self, cells: Sequence[str]) -> np.ndarray:
        """Cells -> float32 [cells, width]: numbers as shares of the range, categories one-hot, NaN where there is no value.

        Raises:
            ValueError: text among numbers, or a category that the column has not.
        """
        made = np.full((len(cells), self.width), np.nan, np.float32)
        place = {category: i for i, category in enumerate(self.categories)}
        span = self.high - self.low
        for row, cell in enumerate(cells):
            if is_missing(cell):
                continue
            if self.categories:
                if (at := place.get(cell.strip())) is None:
                    known = f"its categories ({listed(self.categories)})"
                    raise ValueError(f"column {self.name}, row {row + 1:,}: {cell.strip()!r} is none of {known}")
                made[row] = 0
                made[row, at] = 1
            elif (value := number(cell)) is None:
                raise ValueError(f"column {self.name}, row {row + 1:,}: {cell.strip()!r} is no number")
            else:  # in a constant column there is no scale by which another number could be told
                made[row] = (value - self.low) / span if span else 0
        return made

    def decoded(self, values: np.ndarray) -> list[str]:
        """[cells, width] -> cells: numbers in their own units and as many digits as the column has, the likeliest category."""
        if self.categories:
            return [self.categories[at] for at in values.argmax(1)]
        return [self.written(self.low + float(value) * (self.high - self.low)) for value in values[:, 0]]

    def written(self, value: float) -> str:
        if self.decimals is None:
            return f"{value:.7g}"
        text = f"{value:.{self.decimals}f}"
        return text.removeprefix("-") if float(text) == 0 else text


def is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def number(cell: str) -> float | None:
    """What a cell says, if it says a finite number."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def decimals_of(cells: Sequence[str]) -> int | None:
    """The most digits after the point, zeros at the end aside; None where they are many, or written with an exponent."""
    if not all(cell.lstrip("+-").replace(".", "", 1).isdigit() for cell in cells):
        return None
    most = max(len(cell.partition(".")[2].rstrip("0")) for cell in cells)
    return most if most <= MOST_DECIMALS else None


def refuse_too_many(name: str, categories: tuple[str, ...]) -> tuple[str, ...]:
    if len(categories) > MOST_CATEGORIES:
        raise ValueError(
            f"column {name} has {len(categories):,} different texts, more than {MOST_CATEGORIES} categories: leave it out "
            "(--data.columns names those to take)"
        )
    return categories


def listed(names: Sequence[str], most: int = 10) -> str:
    """The names, or the first of them."""
    return ", ".join(names[:most]) + (f", and {len(names) - most:,} more" if len(names) > most else "")


# --- rows of several columns ---


def encoded(columns: Sequence[Column], cells: Mapping[str, Sequence[str]]) -> np.ndarray:
    """float32 [rows, width], all columns side by side; raises as `Column.encoded`."""
    return np.concatenate([column.encoded(cells[column.name]) for column in columns], axis=1)


def parts(columns: Sequence[Column], rows: np.ndarray) -> list[np.ndarray]:
    """[rows, width] -> [rows, the column's width] of each column."""
    return np.split(rows, np.cumsum([column.width for column in columns])[:-1], axis=1)


def decoded(columns: Sequence[Column], rows: np.ndarray) -> dict[str, list[str]]:
    """[rows, width] -> the cells of each column."""
    return {column.name: column.decoded(part) for column, part in zip(columns, parts(columns, rows), strict=True)}
