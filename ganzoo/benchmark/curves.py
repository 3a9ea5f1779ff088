"""Scores over the course of training, as SVG that stands in a page: its colours and fonts are the page's."""

import re
from collections.abc import Sequence
from html import escape
from io import StringIO
from math import isfinite
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullFormatter

from ganzoo.benchmark.results import Result
from ganzoo.benchmark.tables import Table
from ganzoo.metrics.scores import greater_is_better

COLOURS = 10  # the page has --c0 to --c9, for light and dark; then they come again, dashed, then dotted
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1, 1, 1)))
INK, GRID = "#fd0001", "#fd0002"  # stand for the page's
Line = tuple[np.ndarray, np.ndarray]


def colour(index: int) -> str:
    """Stands for --c0 to --c9."""
    return f"#fe000{index % COLOURS}"


def plot(table: Table, metric: str, against: str, places: dict[str, int], ident: str) -> str:
    """One SVG; "" if there are no scores.

    Args:
        against: images_seen or seconds.
        places: of each variant, which choose its colour and are its lines' `data-variant`.
        ident: before every id, for the page has other SVGs.
    """
    runs = {row.variant: [(of, line(of, metric, against)) for of in row.results] for row in table.rows}
    drawn = [points for lines in runs.values() for _, points in lines if points]
    if not drawn:
        return ""
    times = np.concatenate([x for x, _ in drawn])
    scale, unit = (1.0, "real images seen") if against == "images_seen" else unit_of(float(times.max()))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": ident, "font.size": 8.5, "path.simplify": False}):
        figure = Figure(figsize=(4.8, 3.2), layout="constrained")
        axes = figure.subplots()
        for variant, lines in runs.items():
            draw(axes, places[variant], [(of, (points[0] / scale, points[1])) for of, points in lines if points], len(lines))
        dress(axes, metric, np.concatenate([y for _, y in drawn]))
        axes.set_xlabel(unit)
        if against == "images_seen":
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        file = StringIO()
        figure.savefig(file, format="svg", transparent=True)
    return inlined(file.getvalue(), places, ident)


def line(result: Result, metric: str, against: str) -> Line | None:
    """Without scores that do not know their place, and without NaN and infinity."""
    scores = [score for score in result.scores.get(metric, []) if isfinite(score.value)]
    points = [(at, score.value) for score in scores if (at := getattr(score.origin, against)) is not None]
    return (np.array([x for x, _ in points], float), np.array([y for _, y in points])) if points else None


def unit_of(most: float) -> tuple[float, str]:
    if most >= 3 * 3600:
        return 3600.0, "hours of training"
    return (60.0, "minutes of training") if most >= 180 else (1.0, "seconds of training")


def average(lines: Sequence[Line]) -> Line | None:
    """Between the latest start and the earliest end: beyond, it would leap where a run drops out."""
    start, end = max(x[0] for x, _ in lines), min(x[-1] for x, _ in lines)
    if start > end:
        return None
    at = np.unique(np.concatenate([x[(x >= start) & (x <= end)] for x, _ in lines]))
    return at, np.mean([np.interp(at, x, y) for x, y in lines], axis=0)


def draw(axes: Axes, place: int, lines: list[tuple[Result, Line]], seeds: int) -> None:
    """Thin seeds, their mean, and a mark where one diverged."""
    how: dict[str, Any] = {"color": colour(place), "gid": f"variant_{place}"}
    dash = DASHES[place // COLOURS % len(DASHES)]
    for of, (x, y) in lines:
        if seeds > 1:
            axes.plot(x, y, **how, linewidth=0.7, alpha=0.4)
        if of.diverged:
            axes.plot(x[-1:], y[-1:], **how, marker="x", markersize=5, markeredgewidth=1.2, linestyle="none")
    if len(lines) == seeds and (middle := average([points for _, points in lines])):
        axes.plot(*middle, **how, linewidth=1.6, linestyle=dash, marker="." if len(middle[0]) == 1 else None)
        axes.plot(*middle, **how, linewidth=9, alpha=0)  # what the mouse can hit


def dress(axes: Axes, metric: str, values: np.ndarray) -> None:
    """A distance falls by orders of magnitude; an unbiased one may be below zero."""
    if not greater_is_better(metric) and values.max() > 5 * np.median(np.abs(values)):
        if values.min() > 0:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_yscale("symlog", linthresh=float(np.quantile(np.abs(values), 0.25)) or 1e-6)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(which="both", color=INK, labelcolor=INK, length=2.5)
    axes.set_ylabel(metric, color=INK)
    axes.xaxis.label.set_color(INK)


def inlined(svg: str, places: dict[str, int], ident: str) -> str:
    """Only the element, as wide as its place, with ids of its own, the page's colours and a tooltip on each line."""
    names = {place: escape(variant) for variant, place in places.items()}
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg, count=1)
    svg = re.sub(r' font-family: [^;"]*;', "", svg)
    svg = re.sub(r'<g id="(?!variant_)[^"]*"', "<g", svg)
    svg = re.sub(r'<g id="variant_(\d+)"', r'<g class="curve" data-variant="\1"', svg)
    svg = re.sub(r'\bid="', f'id="{ident}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{ident}-", svg)
    svg = re.sub(r"#fe000(\d)", r"var(--c\1)", svg)
    svg = re.sub(r"\n\s*", "\n", svg).replace("xlink:href", "href").replace(INK, "var(--soft)").replace(GRID, "var(--line)")
    return re.sub(r'data-variant="(\d+)">', lambda found: f"{found[0]}<title>{names[int(found[1])]}</title>", svg)
