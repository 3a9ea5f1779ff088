"""Time series as panels: paths, correlations, tails, and where they lie among real ones."""

from math import ceil
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ganzoo.metrics.series import autocorrelation, cross_correlation

SHOWN = 8  # paths of each kind in a panel
FEATURES = 12  # at most so many have panels of paths
COMPARED = 1000  # series in the other panels


def panels(samples: Tensor, real: Tensor | None, names: list[str]) -> Figure:
    """Paths of each feature; and where there are real ones, beside them, correlations, quantiles, autocorrelations and PCA.

    Args:
        samples: [N, length, features].
        real: [M, length, features].
        names: of the features.
    """
    samples, real = samples.float().cpu(), None if real is None else real.float().cpu()
    shown = names[:FEATURES]
    across = min(len(shown), 6 if real is None else 3)
    rows = ceil(len(shown) / across)
    wide = across * (1 if real is None else 2)
    height = 1.5 * rows
    figure = Figure(figsize=(max(7.5, 1.9 * wide), height + (0 if real is None else 2.4)), dpi=110, layout="constrained")
    if real is None:
        paths(figure, samples, None, shown, across)
        return figure
    above, below = figure.subfigures(2, 1, height_ratios=[height, 2.4])  # type: ignore[misc]
    paths(above, samples, real, shown, across)
    axes = below.subplots(1, 5)
    samples, real = samples[:COMPARED], real[:COMPARED]
    for at, (name, series) in zip(axes[:2], {"data": real, "samples": samples}.items(), strict=True):
        heat(at, series, f"correlation, {name}")
    quantiles(axes[2], samples, real)
    memory(axes[3], samples, real)
    overlay(axes[4], *principal(samples, real))
    return figure


def paths(figure: Any, samples: Tensor, real: Tensor | None, names: list[str], across: int) -> None:
    """A few paths of each feature; real ones beside them on the same axes."""
    kinds = {**({} if real is None else {"data": real}), "samples": samples}
    axes = figure.subplots(ceil(len(names) / across), across * len(kinds), sharex=True, squeeze=False).flat
    for at in axes[len(names) * len(kinds) :]:
        at.set_axis_off()
    for i, name in enumerate(names):
        pair = axes[i * len(kinds) : (i + 1) * len(kinds)]
        for at, (kind, series) in zip(pair, kinds.items(), strict=True):
            some = series[:: max(1, len(series) // SHOWN)][:SHOWN]  # windows of one series lie side by side
            at.plot(some[:, :, i].T, linewidth=0.7)
            entitled(at, f"{name}, {kind}")
            at.sharey(pair[0])


def heat(axes: Any, series: Tensor, title: str) -> None:
    """The correlations of features at the same step."""
    axes.imshow(cross_correlation(series), vmin=-1, vmax=1, cmap="RdBu_r")
    entitled(axes, title)


def quantiles(axes: Any, samples: Tensor, real: Tensor) -> None:
    """Of all features' values, each in deviations of the real ones: on the diagonal where tails are alike."""
    mean, std = real.mean((0, 1)), real.std((0, 1)).clamp(min=1e-12)
    grid = torch.cat([torch.linspace(0, 0.01, 20), torch.linspace(0.01, 0.99, 60), torch.linspace(0.99, 1, 20)]).numpy()
    ends = [np.quantile(((of - mean) / std).numpy(), grid) for of in (real, samples)]
    axes.plot(ends[0], ends[0], color="0.75", linewidth=1)
    axes.plot(*ends, ".", color="tab:red", markersize=3)
    axes.set_xlabel("data", fontsize=6)
    entitled(axes, "quantiles, standardised")


def memory(axes: Any, samples: Tensor, real: Tensor) -> None:
    """Autocorrelations of values and of their distance from the mean, means over features."""
    lags = max(1, min(20, real.shape[1] - 1))
    for kind, series, colour in (("data", real, "0.5"), ("samples", samples, "tab:red")):
        for name, values, line in (("x", series, "-"), ("|x|", (series - series.mean((0, 1))).abs(), "--")):
            along = autocorrelation(values, lags).mean(1)
            axes.plot(range(1, lags + 1), along, line, color=colour, linewidth=1, label=f"{name}, {kind}")
    axes.legend(fontsize=5)
    entitled(axes, "autocorrelation")


def principal(samples: Tensor, real: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Both along the two directions in which real series vary most: [N, 2] each."""
    flat, mean = real.flatten(1).double(), real.flatten(1).double().mean(0)
    axes = torch.linalg.svd(flat - mean, full_matrices=False).Vh[:2]
    return tuple(((of.flatten(1).double() - mean) @ axes.T).numpy() for of in (samples, real))  # type: ignore[return-value]


def overlay(axes: Any, samples: np.ndarray, real: np.ndarray, title: str = "PCA of whole series") -> None:
    """Points [N, 2] over points [M, 2]."""
    for points, colour, name in ((real, "0.6", "data"), (samples, "tab:red", "samples")):
        axes.plot(points[:, 0], points[:, -1], ".", color=colour, markersize=1.5, alpha=0.5, label=name)
    axes.legend(fontsize=5)
    entitled(axes, title)


def entitled(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=6)
    axes.tick_params(labelsize=5)
