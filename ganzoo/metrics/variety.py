"""How various samples are, against real ones and cheaply enough to be asked in training.

No player learns these features: images are seen from afar, as means over a grid of 8 x 8, all else as it is.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CELLS = 16
SIDE = 8  # of an image seen from afar


class Variety(NamedTuple):
    """Scalars on the samples' device: all 1, but for chance, where samples are as various as real data."""

    coverage: Tensor  # share of the real data in cells that samples reach
    diversity: Tensor  # mean distance between two samples over that between two real ones
    distinct: Tensor  # share of the samples that are no near copy of another


class Variation:
    """How various real samples are, and samples against it.

    Real data falls into cells, by k-means. Samples reach a cell if at least a tenth of its fair share of them is in it: what
    lies a little beside a mode counts as its own. A near copy is nearer to another sample than a tenth of the distance that
    real samples usually, in the median, are from their nearest other.

    Args:
        real: features [M, d] of real samples.
        n: how many samples are to be measured, at most M.
    """

    def __init__(self, real: Tensor, n: int) -> None:
        self.n = n
        self.centres = k_means(real, CELLS)  # [CELLS, d]
        self.shares = occupied(self.centres, real)  # [CELLS]
        self.spread = mean_distance(real[:n])
        self.near = 0.1 * nearest_other(real[:n]).median()

    def __call__(self, samples: Tensor) -> Variety:
        """Of features [n, d] of samples."""
        reached = occupied(self.centres, samples) >= 0.1 * self.shares
        return Variety(
            coverage=(self.shares * reached).sum(),
            diversity=mean_distance(samples) / above_zero(self.spread),
            distinct=(nearest_other(samples) > self.near).float().mean(),
        )


def from_afar(x: Tensor) -> Tensor:
    """Features [N, d], float32, of samples [N, *shape]."""
    return (F.adaptive_avg_pool2d(x.float(), SIDE) if x.ndim == 4 else x.float()).flatten(1)


def k_means(x: Tensor, cells: int, rounds: int = 10) -> Tensor:
    """Centres [cells, d] of cells of x [M, d]. They start far apart, so that each of a few well separated modes has one."""
    centres = x[:1]
    for _ in range(cells - 1):
        farthest = distances(x, centres).amin(1).argmax()
        centres = torch.cat([centres, x[farthest][None]])
    for _ in range(rounds):
        members = F.one_hot(distances(x, centres).argmin(1), cells).to(x.dtype)  # [M, cells]
        count = members.sum(0)[:, None]
        centres = torch.where(count > 0, members.T @ x / count.clamp(min=1), centres)
    return centres


def occupied(centres: Tensor, x: Tensor) -> Tensor:
    """The share of x [N, d] that is nearest to each of the centres [K, d]: [K]."""
    return F.one_hot(distances(x, centres).argmin(1), len(centres)).float().mean(0)


def mean_distance(x: Tensor) -> Tensor:
    """Between two different ones of x [N, d]."""
    return distances(x, x).sum() / (len(x) * (len(x) - 1))


def nearest_other(x: Tensor) -> Tensor:
    """Distance of each of x [N, d] to the nearest other one: [N]."""
    return distances(x, x).fill_diagonal_(math.inf).amin(1)


def above_zero(x: Tensor) -> Tensor:
    """The tensor as a divisor: what is zero, as the spread of copies, is so small instead that quotients are large."""
    return x.clamp(min=torch.finfo(torch.float32).eps)


def distances(x: Tensor, y: Tensor) -> Tensor:
    """[N, M], exactly 0 between copies: not by a matrix product, whose rounding would tell them apart."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
