"""A frame of several panels, and frames as an animation."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from ganzoo.laboratory import panels
from ganzoo.laboratory.observe import Observed
from ganzoo.laboratory.panels import History, Panel
from ganzoo.pictures import drawn

STYLE: Any = {"font.size": 8, "axes.titlesize": 9, "legend.fontsize": 7, "legend.framealpha": 0.7, "axes.spines.top": False}
LAST_FRAME = 20  # times as long as the others


def densities_frame(seen: Observed, history: History, title: str) -> Image.Image:
    """Upper row: functions of x; lower row: numbers over rounds, and of the logit."""
    plane = seen.grid.dimensions == 2
    above: list[Panel] = [panels.densities, panels.discriminator, panels.field]
    if plane and seen.probabilistic:
        above.insert(2, panels.optimal)
    below: list[Panel] = [partial(panels.divergence, history=history)]
    if "modes" in history:
        below.append(partial(panels.found, history=history))
    below.append(panels.slopes if seen.probabilistic else partial(panels.gap, history=history))
    below = [*below, panels.verdicts][: len(above)]
    with rc_context(STYLE):
        figure = Figure(figsize=(3.1 * len(above), 6.2), dpi=96)
        axes = figure.subplots(2, len(above), squeeze=False)
        for panel, place in zip([*above, *below], [*axes[0], *axes[1]], strict=False):
            panel(place, seen)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        figure.subplots_adjust(0.035, 0.07, 0.99, 0.9, wspace=0.16, hspace=0.3)
        return drawn(figure)


def trajectory_frame(place: np.ndarray, matrix: np.ndarray, factor: float, title: str) -> Image.Image:
    """Left: the places in the plane [rounds, 2] and where a round takes them; right: their distance from (0, 0)."""
    distance = np.linalg.norm(place, axis=1)
    with rc_context(STYLE):
        figure = Figure(figsize=(8.4, 4.2), dpi=96)
        left, right = figure.subplots(1, 2)
        reach = 1.15 * float(np.abs(place).max())
        lattice = np.stack(np.meshgrid(*[np.linspace(-reach, reach, 15)] * 2), -1).reshape(-1, 2)
        left.quiver(*lattice.T, *(lattice @ (matrix - np.eye(2)).T).T, color="0.75", angles="xy", width=0.004)
        left.plot(*place.T, color=panels.DATA, linewidth=1)
        left.plot(*place[0], "o", color="0.4", label="start")
        left.plot(*place[-1], "o", color=panels.MODEL, label="now")
        left.plot(0, 0, "+", color=panels.THEORY, label="equilibrium")
        left.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="x, lowers xy", ylabel="y, raises xy", aspect="equal")
        left.set_title("the players; arrows: what a round does")
        left.legend(loc="upper right", ncols=3)
        rounds = np.arange(len(place))
        right.semilogy(rounds, distance, color=panels.DATA, label="distance from (0, 0)")
        right.semilogy(rounds, distance[0] * factor**rounds, "--", color=panels.THEORY, label=f"theory: {factor:.5f} a round")
        right.set(xlabel="round", title="how far from the equilibrium")
        right.legend(loc="best")
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        figure.subplots_adjust(0.06, 0.11, 0.98, 0.86, wspace=0.14)
        return drawn(figure)


def animate(frames: list[Path], path: Path, milliseconds: int) -> None:
    """An animated GIF of the frames; it stays on the last one for a while, and then begins again."""
    # By coverage: the commonest colours would be shades of the surfaces, and thin lines would turn grey.
    how: Any = {"colors": 255, "method": Image.Quantize.MAXCOVERAGE, "dither": Image.Dither.NONE}
    first, *others = [Image.open(frame).convert("RGB").quantize(**how) for frame in frames]
    durations = [milliseconds] * len(others) + [LAST_FRAME * milliseconds]
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0)
