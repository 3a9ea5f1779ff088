"""Points in the plane whose modes can be counted, and the one point of the Dirac-GAN."""

from math import isqrt, tau
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.base import DataModule, at_least
from ganzoo.data.densities import Mixture
from ganzoo.data.stream import Samples


class Gaussians(Mixture):
    """A mixture of equal round Gaussians in two dimensions, on a ring or a square grid.

    `centres` [modes, 2] and `std` are there for metrics that count modes.

    Args:
        layout: "ring" (the usual one: 8 modes) or "grid" (25 modes).
        modes: number of Gaussians; a square number for a grid.
        radius: of the ring; in a grid the distance between neighbours, so that 25 modes at 2 lie at -4, -2, 0, 2, 4.
        std: standard deviation of each Gaussian, in both coordinates.
        samples: points in each of the two splits.

    Raises:
        ValueError: an unknown layout, a grid without a square number of modes, a std that is not positive, or a size below 1.
    """

    shape = (2,)

    def __init__(
        self,
        *,
        layout: Literal["ring", "grid"] = "ring",
        modes: int = 8,
        radius: float = 2.0,
        std: float = 0.02,
        **density: Any,
    ) -> None:
        super().__init__(**density)
        at_least(1, modes=modes)
        if layout not in ("ring", "grid"):
            raise ValueError(f"layout must be ring or grid, not {layout!r}")
        if std <= 0:
            raise ValueError(f"std must be positive, not {std:g}")
        self.std = std
        centres = radius * (ring(modes) if layout == "ring" else grid(modes))  # [modes, 2]
        self.mix(centres, torch.full((modes,), std), torch.ones(modes))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        mode = rng.integers(len(self.centres), size=self.samples)
        noise = rng.standard_normal((self.samples, 2), dtype=np.float32)
        return self.centres.numpy()[mode] + np.float32(self.std) * noise


class Dirac(DataModule):
    """Nothing but the origin of the plane, the equilibrium of `Bilinear`, whose players need no data."""

    shape = (2,)

    def splits(self) -> tuple[Samples, Samples]:
        return (Samples(np.zeros((1, 2), dtype=np.float32)),) * 2


def ring(modes: int) -> Tensor:
    """Evenly spaced on the unit circle, the first at (1, 0): [modes, 2]."""
    angle = torch.arange(modes) * (tau / modes)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def grid(modes: int) -> Tensor:
    """A square grid of spacing 1 about the origin: [modes, 2]."""
    side = isqrt(modes)
    if side**2 != modes:
        raise ValueError(f"a grid needs a square number of modes such as {side**2} or {(side + 1) ** 2}, not {modes}")
    line = torch.arange(side) - (side - 1) / 2
    return torch.cartesian_prod(line, line).reshape(modes, 2)
