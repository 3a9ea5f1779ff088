"""Rows of tables as small pictures, one for each column."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

MOST = 16  # columns shown

Columns = Sequence[dict[str, Any]]  # `ganzoo.data.columns.Column.said` of each


def distributions(samples: Tensor, real: Tensor | None, columns: Columns) -> Figure:
    """How the values of each column are distributed: samples [N, width] over real rows [M, width]."""

    def show(at: Axes, column: dict[str, Any], place: slice) -> None:
        names = column["categories"]
        for rows, filled in ((real, True), (samples, False)):
            if rows is None:
                continue
            values = rows[:, place].cpu().numpy()
            if names:
                heights, edges = values.mean(0), np.arange(len(names) + 1.0)
            else:
                heights, edges = np.histogram(in_units(values[:, 0], column), 30, range=(column["low"], column["high"]))
            at.stairs(heights / max(heights.sum(), 1e-9), edges, fill=filled, color="0.8" if filled else "tab:red")
        if names:
            at.set_xticks(np.arange(len(names)) + 0.5, [name[:8] for name in names], rotation=45)

    return panels(show, columns)


def agreement(made: Tensor, true: Tensor, cells: Tensor, columns: Columns) -> Figure:
    """Imputed values over true ones; of categories, how often each was taken for which.

    Args:
        made, true: [N, width].
        cells: bool [N, columns]: which ones are shown.
    """
    order = iter(range(len(columns)))

    def show(at: Axes, column: dict[str, Any], place: slice) -> None:
        shown = cells[:, next(order)].cpu().numpy()
        imputed, real = (rows[:, place].cpu().numpy()[shown] for rows in (made, true))
        if column["categories"]:
            at.imshow(imputed.T @ real / real.sum(0).clip(1), vmin=0, vmax=1, cmap="Greys", origin="lower")
            names = [name[:8] for name in column["categories"]]
            at.set_xticks(range(len(names)), names, rotation=45)
            at.set_yticks(range(len(names)), names)
        else:
            at.axline((column["low"], column["low"]), slope=1, color="0.8")
            at.scatter(in_units(real[:, 0], column), in_units(imputed[:, 0], column), s=4, color="tab:red", linewidths=0)
            at.set_aspect("equal", adjustable="datalim")

    return panels(show, columns, "true", "imputed")


def in_units(values: np.ndarray, column: dict[str, Any]) -> np.ndarray:
    """Shares of the column's range in its own units."""
    return column["low"] + values.astype(float) * (column["high"] - column["low"])


def panels(show: Callable[[Axes, dict[str, Any], slice], None], columns: Columns, across: str = "", up: str = "") -> Figure:
    """One panel for each of the first columns; `show` is called with the panel, the column and its place in a row."""
    count = min(len(columns), MOST)
    sides = min(count, 4)
    figure = Figure(figsize=(2.2 * sides, 2 * ceil(count / sides)), dpi=128, layout="constrained")
    axes = list(figure.subplots(ceil(count / sides), sides, squeeze=False).flat)
    ends = np.cumsum([len(column["categories"]) or 1 for column in columns])
    for at in axes[count:]:
        at.set_axis_off()
    for at, column, end in zip(axes[:count], columns, ends, strict=False):
        show(at, column, slice(end - (len(column["categories"]) or 1), end))
        at.set_title(column["name"][:24], fontsize=7)
        at.tick_params(labelsize=6)
    figure.supxlabel(across, fontsize=7)
    figure.supylabel(up, fontsize=7)
    return figure
