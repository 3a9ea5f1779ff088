"""Samples that are no images as a table in the data's own units.

What the numbers mean, the data say (`DataModule.units`), and checkpoints keep: of series `{"kind": "series", "columns": ...,
"low": ..., "high": ..., "tails": ...}` (`ganzoo.data.series`), of strings `{"kind": "strings", "vocabulary": ...}`. Another
kind of samples is another function here.
"""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzoo.data.cache import replacing
from ganzoo.data.columns import Column, decoded
from ganzoo.data.series import of_units
from ganzoo.texts import texts_of

Units = dict[str, Any]
Rows = Iterator[list[Any]]


def table(samples: Tensor, units: Units | None) -> tuple[list[str], Rows]:
    """The columns' names and the rows, for pandas.DataFrame(rows, columns=names), say.

    Args:
        samples: as `Game.sample` gives them.
        units: `Game.units`.

    Raises:
        ValueError: samples that are no table.
    """
    if units is None or units["kind"] not in KINDS:
        raise ValueError("these samples are no table: only series, strings and rows are, of checkpoints that know their units")
    return KINDS[units["kind"]](samples, units)


def natural(samples: Tensor, units: Units | None) -> Tensor:
    """Series in their own units; all else as it is."""
    if units is None or units["kind"] != "series":
        return samples
    return torch.from_numpy(of_units(samples.cpu().numpy(), units))


def of_series(samples: Tensor, units: Units) -> tuple[list[str], Rows]:
    """[N, length, features]: a row for each step of each series."""
    values = of_units(samples.cpu().numpy(), units)
    rows = ([i, step, *at.tolist()] for i, series in enumerate(values) for step, at in enumerate(series))
    return ["series", "step", *units["columns"]], rows


def of_rows(samples: Tensor, units: Units) -> tuple[list[str], Rows]:
    """[N, width]: a row for each."""
    columns = [Column.read(said) for said in units["columns"]]
    cells = decoded(columns, samples.cpu().numpy())
    return list(cells), map(list, zip(*cells.values(), strict=True))


def of_strings(samples: Tensor, units: Units) -> tuple[list[str], Rows]:
    """[N, length, vocabulary]: a row for each string."""
    return ["string"], ([text] for text in texts_of(samples, units["vocabulary"]))


KINDS: dict[str, Callable[[Tensor, Units], tuple[list[str], Rows]]] = {
    "series": of_series,
    "strings": of_strings,
    "rows": of_rows,
}


def lines(samples: Tensor, units: Units | None, out: Path) -> None:
    """Strings as lines of text.

    Raises:
        ValueError: samples that are no strings.
    """
    if units is None or units["kind"] != "strings":
        raise ValueError("these samples are no lines of text: only strings are, of checkpoints that know their vocabulary")
    save("".join(f"{text}\n" for text in texts_of(samples, units["vocabulary"])), out)


def write(samples: Tensor, units: Units | None, out: Path) -> None:
    """The table as CSV; raises as `table`, and OSError."""
    names, rows = table(samples, units)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([f"{cell:.7g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    save(text.getvalue(), out)


def save(text: str, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as file:
        file.write(text.encode())
