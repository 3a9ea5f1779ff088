"""Samples that are no images as a table in the data's own units.

What the numbers mean, the data say (`DataModule.units`), and checkpoints keep: `{"kind": "series", "columns": [names],
"low": [...], "high": [...]}`, of the values that are -1 and 1 in samples. Another kind of samples is another function here.
"""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from ganzoo.data.cache import replacing
from ganzoo.data.scaling import unscaled

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


def of_series(samples: Tensor, units: Units) -> tuple[list[str], Rows]:
    """[N, length, features]: a row for each step of each series."""
    values = unscaled(samples.cpu().numpy(), units["low"], units["high"])
    rows = ([i, step, *at.tolist()] for i, series in enumerate(values) for step, at in enumerate(series))
    return ["series", "step", *units["columns"]], rows


KINDS: dict[str, Callable[[Tensor, Units], tuple[list[str], Rows]]] = {"series": of_series}


def write(samples: Tensor, units: Units | None, out: Path) -> None:
    """The table as CSV; raises as `table`, and OSError."""
    names, rows = table(samples, units)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([f"{cell:.7g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as file:
        file.write(text.getvalue().encode())
