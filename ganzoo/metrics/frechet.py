"""Frechet distance between Gaussians fitted to features: Heusel et al. 2017, arXiv:1706.08500, eq. 6. Of Inception's: FID.

    ||m1 - m2||^2 + tr S1 + tr S2 - 2 tr (S1 S2)^1/2

With S1 = B B', the eigenvalues of S1 S2 are those of the symmetric B' S2 B: no square root of a matrix is needed, and none of
an unsymmetric or nearly singular one is taken. Everything is float64, which TF32 and autocast leave alone.
"""

import math
from typing import NamedTuple, Self

import torch
import torch.distributed as dist
from torch import Tensor

from ganzoo.metrics.score import Score, check_features

EPSILON = torch.finfo(torch.float64).eps
BLOCK = 256  # columns; from 128 to 512 are equally fast


class Moments:
    """Number, mean and covariance of features that come in batches, on any number of ranks.

    Batches and ranks are merged around their own means (Chan, Golub and LeVeque 1979): plain sums of squares would lose the
    covariance of features whose mean is large against their spread.
    """

    def __init__(self, dim: int, device: torch.device | str = "cpu") -> None:
        self.n = 0
        self.mean = torch.zeros(dim, dtype=torch.float64, device=device)  # [d]
        self.scatter = torch.zeros(dim, dim, dtype=torch.float64, device=device)  # [d, d], sum of (x - mean)(x - mean)'

    @torch.no_grad()
    def update(self, features: Tensor) -> None:
        """Take in features [N, d]; N may be 0. Raises ValueError for another width."""
        if features.dim() != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"features are {list(features.shape)}: these moments take [N, {len(self.mean)}]")
        if not len(features):
            return
        features = features.to(self.mean)
        mean = features.mean(0)
        shift, n = mean - self.mean, self.n + len(features)
        # The difference of the means enters the scatter like one more sample, so that one product does it all.
        rows = torch.cat([features - mean, shift[None] * math.sqrt(self.n * len(features) / n)])
        self.scatter.addmm_(rows.T, rows)
        self.mean += shift * (len(features) / n)
        self.n = n

    @torch.no_grad()
    def reduce(self) -> None:
        """Replace every rank's moments by those of all ranks together: call it once, on all ranks, after the last update."""
        if not (dist.is_available() and dist.is_initialized()):
            return
        sums = torch.cat([self.mean * self.n, self.mean.new_tensor([self.n])])
        dist.all_reduce(sums)
        mean = sums[:-1] / sums[-1].clamp(min=1)
        shift = self.mean - mean
        self.scatter.addr_(shift, shift, alpha=self.n)
        dist.all_reduce(self.scatter)
        self.n, self.mean = int(sums[-1]), mean

    @property
    def covariance(self) -> Tensor:
        """[d, d], unbiased; raises ValueError for fewer than two samples."""
        if self.n < 2:
            raise ValueError(f"a covariance needs at least two samples, here are {self.n}: give more")
        return self.scatter / (self.n - 1)

    def state(self) -> dict[str, Tensor]:
        """Plain tensors, to be saved."""
        return {"n": torch.tensor(self.n), "mean": self.mean, "scatter": self.scatter}

    @classmethod
    def of(cls, state: dict[str, Tensor]) -> Self:
        """The moments that `state` describes, on its device; they share its memory."""
        moments = cls(0)
        moments.n, moments.mean, moments.scatter = int(state["n"]), state["mean"], state["scatter"]
        return moments


def moments_of(features: Tensor) -> Moments:
    """The moments of features [N, d] that are all here."""
    moments = Moments(features.shape[1], features.device)
    moments.update(features)
    return moments


class Reference(NamedTuple):
    """The real side of the distance, prepared once for any number of comparisons."""

    n: int
    mean: Tensor  # [d]
    root: Tensor  # B [d, r] with B B' = covariance, zero above its diagonal

    @classmethod
    def of(cls, moments: Moments, features: Tensor | None = None) -> Self:
        """The features [n, d] themselves, where they are at hand, save time if they are fewer than their dimensions.

        Raises:
            ValueError: moments that are not finite, or of fewer than two samples; features that are not theirs.
        """
        check_moments("real", moments, features)
        if features is not None and moments.n < len(moments.mean):
            root = triangular(centred(moments, features))
        else:
            root = square_root(moments.covariance)
        return cls(moments.n, moments.mean, root)


def check_moments(name: str, moments: Moments, features: Tensor | None) -> None:
    """Raise ValueError unless the moments are finite, and the moments of these features, if there are any."""
    if not torch.isfinite(moments.mean).all():
        raise ValueError(f"{name} features hold NaN or infinity: look at the samples, the generator may have diverged")
    if features is not None and tuple(features.shape) != (moments.n, len(moments.mean)):
        raise ValueError(
            f"{name} features are {list(features.shape)} and their moments of [{moments.n}, {len(moments.mean)}]: "
            f"give exactly the features that the moments have seen, or none"
        )


def centred(moments: Moments, features: Tensor) -> Tensor:
    """C' [n, d] of features [n, d], with C C' = covariance."""
    return (features.to(moments.mean) - moments.mean) / math.sqrt(moments.n - 1)


def triangular(rows: Tensor) -> Tensor:
    """B [d, r] of rows [n, d]: B B' = rows' rows, zero above the diagonal, r = min(n, d)."""
    return torch.linalg.qr(rows, mode="r").R.T


def square_root(covariance: Tensor) -> Tensor:
    """B [d, r] with B B' = covariance [d, d], zero above its diagonal; r is the covariance's rank.

    Cholesky's factor is ten times cheaper than eigenvectors, but where the covariance is singular, its rounding errors
    stand for eigenvalues that are not there, of which the distance would take the square roots.
    """
    lower, failed = torch.linalg.cholesky_ex(covariance)
    pivots = lower.diagonal().square()
    if not failed and pivots.min() > 1e-10 * pivots.max():
        return lower
    values, vectors = torch.linalg.eigh(covariance)
    real = above_rounding(values)
    return triangular((vectors[:, real] * values[real].sqrt()).T)


def above_rounding(values: Tensor) -> Tensor:
    """Which eigenvalues [d], in ascending order, are not zeros that rounding has moved: bool [d]."""
    return values > EPSILON * len(values) * values[-1:]


def congruent(root: Tensor, covariance: Tensor) -> Tensor:
    """B' S B [r, r] of B [d, r], zero above its diagonal, and S [d, d]: its lower triangle only, which is all that eigh reads.

    Leaving out the blocks that are zero or above the diagonal costs a quarter of the two plain products.
    """
    half, product = torch.empty_like(root), root.new_zeros(root.shape[1], root.shape[1])
    for start in range(0, root.shape[1], BLOCK):
        stop = min(start + BLOCK, root.shape[1])
        half[start:, start:stop] = covariance[start:, start:] @ root[start:, start:stop]
        product[start:stop, :stop] = root[start:, start:stop].T @ half[start:, :stop]
    return product


@torch.no_grad()
def frechet_distance(reference: Reference, fake: Moments, features: Tensor | None = None) -> float:
    """The distance; it falls with the number of fakes, even at equal distributions: compare at equal n.

    Args:
        features: the fakes themselves [n, d], if they are at hand: where n < d they save time, and a little rounding.

    Raises:
        ValueError: moments that are not finite, or of another width than the reference's; features that are not theirs.
    """
    check_moments("fake", fake, features)
    if len(fake.mean) != len(reference.mean):
        raise ValueError(
            f"fake features are {len(fake.mean)} wide and real ones {len(reference.mean)}: extract both with the same network"
        )
    if features is not None and fake.n < len(fake.mean):
        product = reference.root.T @ centred(fake, features).T  # B' C [r, n], whose singular values are sought
        gram = product @ product.T if product.shape[0] < product.shape[1] else product.T @ product
    else:
        gram = congruent(reference.root, fake.covariance)
    values = torch.linalg.eigvalsh(gram)
    # At rank-deficient covariances rounding leaves eigenvalues of 1e-13 in place of zeros; there may be a thousand of them.
    cross = values[-min(reference.n - 1, fake.n - 1) :].clamp(min=0).sqrt().sum()
    distance = (fake.mean - reference.mean).square().sum() + reference.root.square().sum() + fake.covariance.trace() - 2 * cross
    return max(distance.item(), 0.0)


@torch.no_grad()
def frechet_standard_error(reference: Reference, fake: Moments, features: Tensor) -> float:
    """Standard error of the distance over the draw of the fakes, the reference being given, by the delta method.

    A fake x adds (1/n) times its influence 2 (m2 - m1)'(x - m2) + (x - m2)'(I - T)(x - m2) - tr (I - T) S2 to the distance,
    where T = B (B' S2 B)^-1/2 B' is the optimal transport from the fakes to the reference: the derivative of tr (S1 S2)^1/2
    with respect to S2 is T / 2.

    Args:
        features: [m, d], any of the fakes that `fake` has seen; the first 5,000 are looked at.
    """
    values, vectors = torch.linalg.eigh(congruent(reference.root, fake.covariance))
    real = above_rounding(values)
    half = reference.root @ (vectors[:, real] * values[real] ** -0.25)  # [d, r], T = half half'
    x = features[:5000].to(fake.mean) - fake.mean
    influence = 2 * x @ (fake.mean - reference.mean) + x.square().sum(1) - (x @ half).square().sum(1)
    return influence.std().item() / math.sqrt(fake.n)


@torch.no_grad()
def intra_frechet_distance(real: Tensor, real_label: Tensor, fake: Tensor, fake_label: Tensor) -> Score:
    """Mean over classes of the distance between the class's real and fake features: Miyato and Koyama 2018, arXiv:1802.05637.

    The classes are those of the fakes' labels. The standard error covers the draw of the fakes.

    Args:
        real, fake: [n, d] each.
        real_label, fake_label: int64 [n] of each.

    Raises:
        ValueError: features that are not finite, or of two widths; a class with fewer than two real or two fake ones.
    """
    check_features(real=real, fake=fake)
    distances, errors = [], []
    for label in fake_label.unique().tolist():
        real_class, fake_class = real[real_label == label], fake[fake_label == label]
        if min(len(real_class), len(fake_class)) < 2:
            raise ValueError(
                f"class {label} has {len(real_class)} real and {len(fake_class)} fake features: give two or more of each"
            )
        reference, moments = Reference.of(moments_of(real_class), real_class), moments_of(fake_class)
        distances.append(frechet_distance(reference, moments, fake_class))
        errors.append(frechet_standard_error(reference, moments, fake_class))
    return Score(sum(distances) / len(distances), math.hypot(*errors) / len(errors))
