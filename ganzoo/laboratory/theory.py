"""What the theory of GANs says of two densities and of a discriminator, in numbers.

Propositions and theorems are those of arXiv:1406.2661, section 4.
"""

from collections.abc import Callable
from math import log

import torch
import torch.nn.functional as F
from torch import Tensor

CELLS = {1: 200, 2: 120}  # along each axis, by the number of dimensions


class Grid:
    """Equal cells over low .. high in one or two dimensions; a function on it has a value for each centre.

    `points` [cells^D, D] are the centres, the last axis running fastest; `volume` is a cell's length or area.
    """

    def __init__(self, low: float, high: float, dimensions: int) -> None:
        self.low, self.high, self.dimensions = low, high, dimensions
        self.cells = CELLS[dimensions]
        self.width = (high - low) / self.cells
        self.volume = self.width**dimensions
        self.axis = low + self.width * (torch.arange(self.cells) + 0.5)  # [cells]
        apart = (torch.arange(self.cells)[:, None] - torch.arange(self.cells)).float()
        kernel = (-(apart**2) / 2).exp()
        self.kernel = kernel / kernel.sum(0)  # [to, from]: no mass is lost at the edges
        self.points = torch.cartesian_prod(*[self.axis] * dimensions).reshape(-1, dimensions)

    def density(self, samples: Tensor) -> Tensor:
        """The samples' density [N, D] -> [cells^D]: their histogram, smoothed by a Gaussian with one cell's standard deviation.

        Samples outside are mass that is absent.
        """
        cell = ((samples - self.low) / self.width).floor().long()  # [N, D]
        cell = cell[((cell >= 0) & (cell < self.cells)).all(1)]
        place = self.cells ** torch.arange(self.dimensions - 1, -1, -1)
        counts = (cell * place).sum(1).bincount(minlength=len(self.points)) / (len(samples) * self.volume)
        counts = counts.reshape([self.cells] * self.dimensions)
        for axis in range(self.dimensions):
            counts = torch.tensordot(self.kernel, counts, ([1], [axis])).movedim(0, axis)
        return counts.flatten()


def optimal_discriminator(data: Tensor, model: Tensor) -> Tensor:
    """D* = p_data / (p_data + p_g) (Proposition 1), NaN where neither has any mass: densities [N] -> [N]."""
    return data / (data + model)


def jensen_shannon(data: Tensor, model: Tensor, volume: float) -> float:
    """JSD(p_data || p_g) in nats, 0 .. log 2 (Theorem 1), of densities on a grid [N] with cells of that volume.

    Mass that a density lacks lies outside of the grid, where the other one is taken to have none: there it costs log 2 / 2.
    """
    p, q = data.double() * volume, model.double() * volume
    middle = (p + q) / 2
    inside = (torch.xlogy(p, p) + torch.xlogy(q, q)).sum() / 2 - torch.xlogy(middle, middle).sum()
    outside = (1 - p.sum()).clamp(min=0) + (1 - q.sum()).clamp(min=0)
    return float(inside + outside * log(2) / 2)


def jensen_shannon_seen(real_logit: Tensor, fake_logit: Tensor) -> float:
    """V / 2 + log 2 with V = E log D(x) + E log(1 - D(G(z))): the JSD if D is D* (Theorem 1), below it for any other D."""
    value = F.logsigmoid(real_logit).double().mean() + F.logsigmoid(-fake_logit).double().mean()
    return float(value / 2 + log(2))


def slope(cost: Callable[[Tensor], Tensor], logit: Tensor) -> Tensor:
    """d cost / d logit of each fake, whatever the number of fakes: a mean over logits, [N] -> [N].

    minimax: -D(G(z)), nothing where D is sure of a fake; non-saturating: -(1 - D); maximum likelihood: -D / (2 (1 - D)),
    all of it from the best fakes (arXiv:1701.00160, figure 16).
    """
    logit = logit.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(cost(logit), logit)
    return gradient * len(logit)
