"""Scores from nearest neighbours: precision and recall, density and coverage, memorisation.

No matrix of all pairs is ever in memory, but tiles of chunk x chunk squared distances, in the features' own precision: float64
would double the time on a CPU. TF32 and autocast are kept out.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.metrics.score import Score, check_features, mean_score
from ganzoo.precision import tf32

CHUNK = 2048  # 16 MiB a tile of float32


class Neighbourhood(NamedTuple):
    """How fakes and reals lie among each other. The errors cover the draw of the samples that are counted, not of the balls."""

    precision: Score  # share of the fakes in the ball of at least one real
    recall: Score  # share of the reals in the ball of at least one fake
    density: Score  # number of reals in whose ball a fake is, over k: mean over the fakes
    coverage: Score  # share of the reals with a fake in their ball


class Memorisation(NamedTuple):
    """How much nearer fakes are to the training data than to data of the same distribution that was never trained on."""

    share: Score  # of the fakes nearer to training data, 0.5 without memorisation; a tie counts one half
    ratio: Score  # mean distance to the nearest training sample over that to the nearest held-out one, 1 without memorisation


@torch.no_grad()
def neighbourhood(
    fake: Tensor, real: Tensor, *, k: int = 3, density_k: int = 5, real_nearest: Tensor | None = None, chunk: int = CHUNK
) -> Neighbourhood:
    """Precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991) with k, density and coverage (Naeem et al. 2020,
    arXiv:2002.09797) with density_k: a sample's ball reaches to its k-th nearest neighbour in its own set.

    Args:
        fake, real: features [n, d] each, on one device.
        real_nearest: `nearest_others(real, k)` for the larger of the two k, kept from an earlier evaluation.

    Raises:
        ValueError: no more samples than k; features that are not finite, or of two widths; `real_nearest` of other ones.
    """
    check_features(fake=fake, real=real)
    most = max(k, density_k)
    nearest = nearest_others(real, most, chunk) if real_nearest is None else real_nearest.to(real.device)
    if nearest.shape[0] != len(real) or nearest.shape[1] < most:
        raise ValueError(f"real_nearest is {list(nearest.shape)} for {len(real)} reals: give nearest_others(real, {most})")
    ball, density_ball = nearest[:, k - 1], nearest[:, density_k - 1]  # squared radii [n_real]
    fake_ball = nearest_others(fake, k, chunk)[:, k - 1]  # [n_fake]
    precise, recalled, covered = (torch.zeros(len(x), dtype=torch.bool, device=x.device) for x in (fake, real, real))
    balls = torch.zeros(len(fake), dtype=torch.float64, device=fake.device)  # that each fake is in
    for rows, columns, tile in tiles(fake, real, chunk):
        precise[rows] |= (tile <= ball[columns]).any(1)
        recalled[columns] |= (tile <= fake_ball[rows, None]).any(0)
        inside = tile < density_ball[columns]  # strict: Naeem et al., eq. 3 and 4
        balls[rows] += inside.sum(1)
        covered[columns] |= inside.any(0)
    return Neighbourhood(mean_score(precise), mean_score(recalled), mean_score(balls / density_k), mean_score(covered))


@torch.no_grad()
def memorisation(fake: Tensor, train: Tensor, held_out: Tensor, *, chunk: int = CHUNK) -> Memorisation:
    """Are the fakes [n, d] nearer to the training data than to as many held-out samples [m, d] of the same distribution?

    The errors cover the draw of the fakes. A ratio over held-out distances that are all zero is infinite.

    Raises:
        ValueError: other numbers of training and held-out samples; features that are not finite, or of other widths.
    """
    check_features(fake=fake, train=train, held_out=held_out)
    if len(train) != len(held_out):
        raise ValueError(
            f"{len(train)} training and {len(held_out)} held-out features: the larger set has the nearer neighbours, give "
            f"{min(len(train), len(held_out))} of each, drawn at random"
        )
    near, far = nearest_distance(fake, train, chunk), nearest_distance(fake, held_out, chunk)  # [n] each
    ratio = near.mean() / far.mean()
    error = (near - ratio * far).std(correction=0) / (far.mean() * math.sqrt(len(fake)))  # delta method
    share = mean_score((near < far) + 0.5 * (near == far))
    return Memorisation(share, Score(ratio.item(), error.item() if error.isfinite() else None))


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """||x - y||^2 of x [n, d] and y [m, d]: [n, m]. By a matrix product: fast, but only nearly 0 for equal samples."""
    # Moving both changes no distance, and rounding errors grow with the distance from the origin. By few bits: ties stay ties.
    centre = y.mean(0).bfloat16().to(y.dtype)
    x, y = x - centre, y - centre
    with tf32(False), torch.autocast(x.device.type, enabled=False):
        sums = x.square().sum(1)[:, None] + y.square().sum(1)
        return sums.addmm_(x, y.T, alpha=-2).clamp_(min=0)


def tiles(x: Tensor, y: Tensor, chunk: int) -> Iterator[tuple[slice, slice, Tensor]]:
    """Rows, columns and squared distances [rows, columns] of every part of x [n, d] against every part of y [m, d]."""
    for i in range(0, len(x), chunk):
        for j in range(0, len(y), chunk):
            rows, columns = slice(i, i + chunk), slice(j, j + chunk)
            yield rows, columns, squared_distances(x[rows], y[columns])


@torch.no_grad()
def nearest_others(x: Tensor, k: int, chunk: int = CHUNK) -> Tensor:
    """Squared distances of each of x [n, d] to the k nearest others of x, in ascending order: [n, k].

    Raises:
        ValueError: no more than k samples.
    """
    if len(x) <= k:
        raise ValueError(f"{len(x)} features have no {k}-th nearest neighbour among themselves: give more than {k}")
    nearest = torch.full((len(x), k), math.inf, dtype=torch.float64, device=x.device)
    for i in range(0, len(x), chunk):
        for j in range(i, len(x), chunk):
            rows, columns = slice(i, i + chunk), slice(j, j + chunk)
            tile = squared_distances(x[rows], x[columns])
            if i == j:
                tile.fill_diagonal_(math.inf)  # nobody is its own neighbour
            else:
                nearest[columns] = smallest(nearest[columns], tile.T)  # the tile below the diagonal is this one, transposed
            nearest[rows] = smallest(nearest[rows], tile)
    return nearest


def smallest(found: Tensor, tile: Tensor) -> Tensor:
    """The k smallest of each row of found [n, k] and tile [n, m] together: [n, k]."""
    return torch.cat([found, tile], dim=1).topk(found.shape[1], largest=False).values


def nearest_distance(x: Tensor, y: Tensor, chunk: int = CHUNK) -> Tensor:
    """Distance of each of x [n, d] to the nearest of y [m, d], exactly 0 for a copy: [n].

    The matrix product finds the nearest; its distance is then computed from the difference, which cancels nothing.
    """
    nearest = torch.full((len(x),), math.inf, dtype=torch.float64, device=x.device)
    for rows, columns, tile in tiles(x, y, chunk):
        candidate = y[columns][tile.argmin(1)]
        exact = (x[rows].double() - candidate.double()).square().sum(1)
        nearest[rows] = torch.minimum(nearest[rows], exact)
    return nearest.sqrt()
