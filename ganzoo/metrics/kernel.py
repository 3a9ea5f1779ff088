"""Kernel distance (KID, if the features are Inception's): Binkowski et al. 2018, arXiv:1801.01401, section 4."""

import math

import numpy as np
import torch
from torch import Tensor

from ganzoo.metrics.score import Score, check_features
from ganzoo.precision import tf32

CHUNK = 1024  # rows of a kernel matrix in memory at a time


@torch.no_grad()
def kernel_distance(fake: Tensor, real: Tensor, *, subsets: int = 100, subset_size: int = 1000) -> Score:
    """Unbiased MMD^2 under the kernel (x'y / d + 1)^3, mean over random subsets; its expectation does not depend on n.

    The subsets are those of torch-fidelity 0.4.0, and so are the values. Products are in the features' own
    precision, sums in float64; TF32 and autocast are kept out.

    Args:
        fake, real: features [n, d] each, on one device.

    Raises:
        ValueError: fewer of either than a subset has; features that are not finite, or of two widths.
    """
    check_features(fake=fake, real=real)
    n, m = min(len(fake), len(real)), subset_size
    if n < m:
        raise ValueError(f"{len(fake)} fake and {len(real)} real features: give {m} or more of each, or a smaller subset_size")
    of_fake, of_real = draw_subsets(len(fake), len(real), subsets, m)
    within = pair_sums(fake, of_fake, fake, of_fake) - self_sums(fake, of_fake)
    within += pair_sums(real, of_real, real, of_real) - self_sums(real, of_real)
    values = within / (m * (m - 1)) - 2 * pair_sums(fake, of_fake, real, of_real) / m**2  # [subsets], eq. 4
    return Score(values.mean().item(), standard_error(values, n, m))


def standard_error(values: Tensor, n: int, m: int) -> float | None:
    """Of the mean over subsets of m among the same n samples. None for a single subset, or one that is all there is.

    Subsets overlap, so that the mean of ever more of them does not settle at the truth, but at the value of all n samples.
    A subset's variance around that value is what `values` [subsets] show, (1 - m / n) of its variance V around the truth;
    that value's own variance is V m / n, the estimator being a mean over samples to first order. (At equal distributions the
    first order vanishes, and this is too large; so it is where one of fake and real has more than n samples.)
    """
    if len(values) < 2 or n == m:
        return None
    return math.sqrt(values.var().item() * (1 / len(values) + m / (n - m)))


def draw_subsets(n_fake: int, n_real: int, subsets: int, size: int) -> tuple[Tensor, Tensor]:
    """Indices [subsets, size] into the fakes and into the reals, in the order in which torch-fidelity draws them."""
    generator = np.random.RandomState(2020)
    drawn = [[generator.choice(n, size, replace=False) for n in (n_fake, n_real)] for _ in range(subsets)]
    fake, real = zip(*drawn, strict=True)
    return torch.from_numpy(np.stack(fake)), torch.from_numpy(np.stack(real))


def pair_sums(x: Tensor, of_x: Tensor, y: Tensor, of_y: Tensor) -> Tensor:
    """Sum of the kernel over all pairs of a subset of x with one of y, for each of the subsets: [subsets].

    Args:
        x, y: [n, d] each.
        of_x, of_y: the subsets' indices [subsets, size] into them.
    """
    if len(x) * len(y) > of_x.numel() * of_y.shape[1]:
        one = x.new_ones(of_x.shape[1], 1, dtype=torch.float64)
        pairs = zip(of_x.to(x.device), of_y.to(y.device), strict=True)
        return torch.cat([weighted_sums(x[in_x], one, y[in_y], one) for in_x, in_y in pairs])
    # Of few samples the subsets meet the same pairs again and again: compute the kernel once for all pairs.
    return weighted_sums(x, membership(of_x, x), y, membership(of_y, y))


def membership(subsets: Tensor, x: Tensor) -> Tensor:
    """Indices [subsets, size] into x [n, d] as float64 [n, subsets], 1 where the subset has the sample."""
    indices = subsets.T.to(x.device)
    return x.new_zeros(len(x), len(subsets), dtype=torch.float64).scatter_(0, indices, 1.0)


def weighted_sums(x: Tensor, of_x: Tensor, y: Tensor, of_y: Tensor) -> Tensor:
    """Sum over i and j of of_x[i, s] k(x_i, y_j) of_y[j, s], for x and y [n, d], of_x and of_y [n, subsets]: [subsets]."""
    y = y / y.shape[1]
    with tf32(False), torch.autocast(x.device.type, enabled=False):
        sums = [
            ((part @ y.T).double().add_(1).pow_(3) @ of_y * weight).sum(0)
            for part, weight in zip(x.split(CHUNK), of_x.split(CHUNK), strict=True)
        ]
    return torch.stack(sums).sum(0)


def self_sums(x: Tensor, of_x: Tensor) -> Tensor:
    """Sum of k(x_i, x_i) over each subset: [subsets]."""
    diagonal = (x.double().square().sum(1) / x.shape[1] + 1) ** 3
    return diagonal[of_x.to(x.device)].sum(1)
