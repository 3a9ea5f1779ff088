"""Time series as small pictures beside one another."""

from math import ceil

from matplotlib.figure import Figure
from torch import Tensor

SHOWN = 8  # paths of each kind in a panel


def paths(samples: Tensor, real: Tensor | None, names: list[str]) -> Figure:
    """A panel for each feature: a few generated paths, and beside it, on the same axes' range, a few real ones.

    Args:
        samples: [N, length, features].
        real: [M, length, features].
        names: of the features.
    """
    features = samples.shape[2]
    kinds = {"samples": samples, **({} if real is None else {"data": real})}
    across = min(features, max(1, 6 // len(kinds)))
    figure = Figure(figsize=(2.2 * across * len(kinds), 1.8 * ceil(features / across)), dpi=128, layout="constrained")
    axes = figure.subplots(ceil(features / across), across * len(kinds), sharex=True, squeeze=False)
    for at in axes.flat[features * len(kinds) :]:
        at.set_axis_off()
    for i, name in enumerate(names):
        pair = axes.flat[i * len(kinds) : (i + 1) * len(kinds)]
        for at, (kind, series) in zip(pair, kinds.items(), strict=True):
            at.plot(series[:SHOWN, :, i].cpu().T, linewidth=0.8)
            at.set_title(f"{name}, {kind}", fontsize=7)
            at.tick_params(labelsize=6)
            at.sharey(pair[0])
    return figure
