"""Time series that begin as a given one does, for `ganzoo sample --start`."""

from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from ganzoo.data.cells import read_cells, refuse_absent
from ganzoo.data.csv_series import values_of
from ganzoo.data.series import scaled_by
from ganzoo.game import Game
from ganzoo.grids import asked_for
from ganzoo.progress import progress

AT_ONCE = 10_000  # series drawn and compared


def start_of(path: str | Path, game: Game) -> Tensor:
    """The first steps that a table has of the series that a game is of: float32 [steps, features], as samples have them.

    Args:
        path: CSV or Parquet with the columns that `ganzoo sample` writes of such series, in their units; others are passed
            over.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a game of other samples than series; a table without one of the columns, or with a cell that is no number,
            or with as many rows as the series have steps, or more.
    """
    units: dict[str, Any] | None = game.units
    if units is None or units["kind"] != "series":
        raise ValueError("only time series have a start, of checkpoints that know their units: leave out --start")
    cells = read_cells(path)
    refuse_absent(units["columns"], cells, path)
    length = game.shape[0]
    if len(cells) >= length:
        raise ValueError(f"{path}: {len(cells)} rows, and a series has {length} steps: give at most its first {length - 1}")
    values = values_of(cells, units["columns"], path, "fill such cells")
    return torch.from_numpy(scaled_by(values, units))


def beginning(game: Game, start: Tensor, n: int, *, draws: int = 100, label: int | None = None) -> tuple[Tensor, Tensor]:
    """Of `draws` n samples the n whose first steps are nearest to a given start, by the root mean square in the samples' scale.

    The more are drawn, the nearer is their law to what the game has follow that start (rejection, as in approximate Bayesian
    computation). To a start that the game never makes none is near: look at the distances.

    Args:
        start: [steps, features], as `start_of` gives it.
        draws: samples drawn for each that is kept.
        label: class of all samples, of class-conditional variants.

    Returns:
        the samples, float32 [n, *shape], nearest first, and their distances [n].

    Raises:
        ValueError: draws below 1; a label, where there are no classes.
    """
    if draws < 1:
        raise ValueError(f"--draws must be at least 1, not {draws}")
    start = start.to(game.device)
    kept, distances = start.new_empty(0, *game.shape), start.new_empty(0)
    for first in progress(Console(stderr=True), f"{draws * n:,} series", range(0, draws * n, AT_ONCE)):
        drawn = asked_for(game, min(AT_ONCE, draws * n - first), label)
        away = (drawn[:, : len(start)] - start).square().mean((1, 2)).sqrt()
        kept, distances = torch.cat([kept, drawn]), torch.cat([distances, away])
        nearest = distances.argsort(stable=True)[:n]
        kept, distances = kept[nearest], distances[nearest]
    return kept, distances
