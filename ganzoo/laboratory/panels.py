"""The panels of a laboratory's frame: each draws one thing that theory speaks of on one pair of axes."""

from collections.abc import Callable
from math import log

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from ganzoo import losses
from ganzoo.laboratory.observe import Observed
from ganzoo.laboratory.theory import slope

History = dict[str, list[float]]  # of each number, a value for each frame
Panel = Callable[[Axes, Observed], None]

DATA, MODEL, THEORY = "tab:blue", "tab:red", "black"
COSTS = {
    "saturating": (losses.minimax, "tab:purple"),
    "non-saturating": (losses.non_saturating, "tab:green"),
    "maximum likelihood": (losses.maximum_likelihood, "tab:orange"),
}


def picture_of(axes: Axes, seen: Observed, values: Tensor, **how: object) -> None:
    """A function on the grid in the plane, as colours."""
    side, low, high = seen.grid.cells, seen.grid.low, seen.grid.high
    axes.imshow(values.reshape(side, side).T, origin="lower", extent=(low, high, low, high), **how)  # type: ignore[arg-type]
    axes.set(xlim=(low, high), ylim=(low, high))


def densities(axes: Axes, seen: Observed) -> None:
    """Samples over the true density, on the line p_g over p_data."""
    if seen.grid.dimensions == 1:
        axes.fill_between(seen.grid.axis, seen.data, color=DATA, alpha=0.3, linewidth=0, label="p_data")
        axes.plot(seen.grid.axis, seen.model, color=MODEL, linewidth=1, label="p_g")
        axes.set(xlim=(seen.grid.low, seen.grid.high), ylim=(0, 2.2 * float(seen.data.max())), xlabel="x")
    else:
        picture_of(axes, seen, seen.data, cmap="Blues", vmax=1.5 * float(seen.data.max()))
        some = seen.samples[:1500]
        axes.scatter(some[:, 0], some[:, 1], s=3, color=MODEL, linewidths=0, label="samples")
        axes.plot([], [], "s", color=DATA, alpha=0.5, label="p_data")
    axes.set_title("data and generator")
    axes.legend(loc="upper right", ncols=2, markerscale=1 if seen.grid.dimensions == 1 else 2)


def discriminator(axes: Axes, seen: Observed) -> None:
    """D(x), or the critic's logit; on the line D* too."""
    name = "D(x)" if seen.probabilistic else "critic f(x)"
    values = seen.logit.sigmoid() if seen.probabilistic else seen.logit
    if seen.grid.dimensions == 2:
        limits = {"vmin": 0, "vmax": 1} if seen.probabilistic else {}
        picture_of(axes, seen, values, cmap="RdBu", **limits)
        axes.set_title(f"{name}: {float(values.min()):.2f} (red) to {float(values.max()):.2f} (blue)")
        return
    axes.plot(seen.grid.axis, values, color=DATA, label=name)
    if seen.probabilistic:
        axes.plot(seen.grid.axis, seen.optimal, "--", color=THEORY, linewidth=1, label="D* = p_data / (p_data + p_g)")
        axes.axhline(0.5, color="0.7", linewidth=0.8, zorder=0)
        axes.set(ylim=(-0.03, 1.25))
    axes.set(xlim=(seen.grid.low, seen.grid.high), xlabel="x", title="discriminator" if seen.probabilistic else "critic")
    axes.legend(loc="upper right", ncols=2)


def optimal(axes: Axes, seen: Observed) -> None:
    """D* in the plane; grey where there is neither data nor a sample."""
    axes.set_facecolor("0.85")
    picture_of(axes, seen, seen.optimal, cmap="RdBu", vmin=0, vmax=1)
    axes.set_title("D* = p_data / (p_data + p_g)")


def field(axes: Axes, seen: Observed) -> None:
    """Whither the generator's cost pushes a fake: -d cost / d x."""
    axes.set(xlim=(seen.grid.low, seen.grid.high), title="push on a fake, $-\\partial$ cost / $\\partial$ x")
    if seen.grid.dimensions == 1:
        order = seen.places[:, 0].argsort()
        places, push = seen.places[order, 0], seen.field[order, 0]
        axes.axhline(0, color="0.7", linewidth=0.8)
        axes.plot(places, push, color=MODEL)
        axes.fill_between(places, push, where=(push > 0).numpy(), color=MODEL, alpha=0.25, linewidth=0)
        axes.fill_between(places, push, where=(push < 0).numpy(), color=DATA, alpha=0.25, linewidth=0)
        axes.set(xlabel="x  (red: to the right, blue: to the left)")
        return
    picture_of(axes, seen, seen.data, cmap="Blues", vmax=2 * float(seen.data.max()))
    size = seen.field.norm(dim=1, keepdim=True)
    direction = seen.field / size.clamp(min=1e-12)
    some = slice(None, None, 1 if len(seen.places) < 400 else 2)
    arrows = axes.quiver(*seen.places[some].T, *direction[some].T, size[some, 0], cmap="inferno_r", scale=28, width=0.005)
    arrows.set_clim(0, float(size.quantile(0.95)))
    axes.set_xlabel(f"arrows: direction; dark: strong, up to {float(size.max()):.2g}")


def divergence(axes: Axes, seen: Observed, history: History) -> None:
    """The JSD over rounds, and what the discriminator says that it is."""
    axes.axhline(log(2), color="0.7", linewidth=0.8)
    axes.plot(history["step"], history["jsd"], color=THEORY, label="on the grid")
    if "jsd_seen" in history:
        axes.plot(history["step"], history["jsd_seen"], "--", color=DATA, label="V/2 + log 2, by D")
    axes.set(ylim=(min(-0.03, *history.get("jsd_seen", [0.0])), 0.9), xlabel="round", title="JSD(p_data, p_g); line: log 2")
    axes.legend(loc="upper right", ncols=2)


def found(axes: Axes, seen: Observed, history: History) -> None:
    """Modes found and the share of samples on one, over rounds."""
    axes.plot(history["step"], history["modes"], color=DATA, drawstyle="steps-post", label="found")
    axes.plot(history["step"], history["quality"], color=MODEL, label="samples on one")
    axes.set(ylim=(0, 1.3), yticks=np.linspace(0, 1, 6), xlabel="round", title="modes, as shares")
    axes.legend(loc="upper right", ncols=2)


def gap(axes: Axes, seen: Observed, history: History) -> None:
    """How much better the critic finds data than samples: for WGANs the Wasserstein distance, as it sees it."""
    axes.axhline(0, color="0.7", linewidth=0.8)
    axes.plot(history["step"], history["gap"], color=DATA)
    axes.set(xlabel="round", title="gap, E f(x) - E f(G(z))")


def slopes(axes: Axes, seen: Observed) -> None:
    """How strongly each generator cost pulls at D(G(z)), and where the fakes are (arXiv:1701.00160, figure 16)."""
    logit = torch.linspace(-7, 7, 300)
    for name, (cost, colour) in COSTS.items():
        axes.plot(logit.sigmoid(), slope(cost, logit).abs(), color=colour, label=name)
    share = seen.fake_logit.sigmoid().numpy()
    axes.hist(
        share,
        np.linspace(0, 1, 41).tolist(),
        weights=np.full(len(share), 2 / len(share)),
        color="0.75",
        zorder=0,
        label="fakes",
    )
    axes.set(xlim=(0, 1), ylim=(0, 2), xlabel="D(G(z))", title="slope |d cost / d logit|")
    axes.legend(loc="upper center")


def verdicts(axes: Axes, seen: Observed) -> None:
    """What the discriminator says of data and of samples."""
    real, fake = seen.real_logit, seen.fake_logit
    if seen.probabilistic:
        real, fake = real.sigmoid(), fake.sigmoid()
    low, high = (0.0, 1.0) if seen.probabilistic else (float(min(real.min(), fake.min())), float(max(real.max(), fake.max())))
    bins = np.linspace(low, high + 1e-6, 61).tolist()
    axes.hist(real.numpy(), bins, color=DATA, alpha=0.4, label="data")
    axes.hist(fake.numpy(), bins, histtype="step", color=MODEL, label="samples")
    axes.set(yticks=[], xlabel="D" if seen.probabilistic else "f", title="verdicts on data and samples")
    axes.legend(loc="upper right")
