"""Data whose density is known in closed form: what the theory says of p_data can be measured on it."""

from math import log, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.base import DataModule, at_least
from ganzoo.data.stream import Samples


class Density(DataModule):
    """Base of points in one or two dimensions whose density p_data is known.

    A subclass says `log_density` and how to `draw`. The training points are one fixed draw, the held-out points the next
    one; both are drawn with seed 0, whatever the seed of the run.

    Args:
        samples: points in each of the two splits.

    Raises:
        ValueError: samples below 1.
    """

    low: float  # beyond low .. high, in every coordinate, there is as good as nothing
    high: float
    centres: Tensor | None = None  # of the modes, if it has any: [K, D]
    stds: Tensor  # [K]
    weights: Tensor  # [K], of sum 1

    def __init__(self, *, samples: int = 100_000, batch_size: int = 256, **loading: Any) -> None:
        super().__init__(batch_size=batch_size, **loading)
        at_least(1, samples=samples)
        self.samples = samples

    def log_density(self, x: Tensor) -> Tensor:
        """log p_data(x): [N, D] -> [N]."""
        raise NotImplementedError(f"{type(self).__name__} must say what its density is")

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """`samples` independent points, float32 [samples, D]."""
        raise NotImplementedError(f"{type(self).__name__} must say how it is drawn")

    def splits(self) -> tuple[Samples, Samples]:
        rng = np.random.default_rng(0)
        return Samples(self.draw(rng)), Samples(self.draw(rng))


class Mixture(Density):
    """Base of mixtures of round Gaussians: sum_k w_k N(x; c_k, s_k^2 I)."""

    centres: Tensor

    def mix(self, centres: Tensor, stds: Tensor, weights: Tensor) -> None:
        """Take up the components, and a frame with room for fakes that miss them."""
        self.centres, self.stds, self.weights = centres, stds, weights / weights.sum()
        room = max(5 * float(stds.max()), float(centres.max() - centres.min()) / 6)
        self.low, self.high = float(centres.min()) - room, float(centres.max()) + room

    def log_density(self, x: Tensor) -> Tensor:
        """log sum_k w_k (2 pi s_k^2)^(-D/2) exp(-|x - c_k|^2 / (2 s_k^2)): [N, D] -> [N]."""
        centres, stds, weights = (part.to(x) for part in (self.centres, self.stds, self.weights))
        distance = (x[:, None] - centres).square().sum(2)  # [N, K]
        return (weights.log() - x.shape[1] * (stds.log() + log(2 * pi) / 2) - distance / (2 * stds**2)).logsumexp(1)


class Line(Mixture):
    """A mixture of Gaussians on the line.

    Args:
        means, stds: of the components.
        weights: of the components, in any unit; None for equal ones.
        samples: points in each of the two splits.

    Raises:
        ValueError: lists of different lengths, or a std or weight that is not positive.
    """

    shape = (1,)

    def __init__(
        self,
        *,
        means: tuple[float, ...] = (-2.0, 0.0, 2.5),
        stds: tuple[float, ...] = (0.4, 0.3, 0.6),
        weights: tuple[float, ...] | None = None,
        **density: Any,
    ) -> None:
        super().__init__(**density)
        weights = (1.0,) * len(means) if weights is None else weights
        if not means or not len(means) == len(stds) == len(weights):
            raise ValueError(
                f"each mean needs a std and a weight: {len(means)} means, {len(stds)} stds, {len(weights)} weights"
            )
        if min(*stds, *weights) <= 0:
            raise ValueError("stds and weights must be positive")
        self.mix(torch.tensor(means)[:, None], torch.tensor(stds), torch.tensor(weights))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        mode = rng.choice(
            len(self.weights), size=self.samples, p=self.weights.double().numpy() / self.weights.double().sum().item()
        )
        noise = rng.standard_normal((self.samples, 1), dtype=np.float32)
        return self.centres.numpy()[mode] + self.stds.numpy()[mode, None] * noise


class Checkerboard(Density):
    """Uniform on the black fields of a board with sides of length 4 about the origin: sharp edges, no modes.

    Args:
        fields: along one side; even, so that half of them are black.
        samples: points in each of the two splits.

    Raises:
        ValueError: an odd number of fields, or none.
    """

    shape = (2,)
    low, high = -3.0, 3.0

    def __init__(self, *, fields: int = 4, **density: Any) -> None:
        super().__init__(**density)
        if fields < 2 or fields % 2:
            raise ValueError(f"fields must be 2, 4, 6, ..., not {fields}")
        self.fields = fields

    def log_density(self, x: Tensor) -> Tensor:
        """-log 8 on the black half of the board's area of 16, -inf elsewhere: [N, 2] -> [N]."""
        field = ((x + 2) * (self.fields / 4)).floor()  # [N, 2]
        black = (field.sum(1) % 2 == 0) & ((field >= 0) & (field < self.fields)).all(1)
        return torch.where(black, -log(8.0), -torch.inf).to(x)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        row = rng.integers(self.fields, size=self.samples)
        column = 2 * rng.integers(self.fields // 2, size=self.samples) + row % 2
        inside = rng.random((self.samples, 2), dtype=np.float32)
        return ((np.stack([row, column], 1) + inside) * (4 / self.fields) - 2).astype(np.float32)
