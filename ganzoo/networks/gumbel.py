"""Discrete symbols through whose choice gradients pass: Gumbel-softmax (Jang, Gu, Poole 2016, https://arxiv.org/abs/1611.01144;
as the concrete distribution Maddison, Mnih, Teh 2016, https://arxiv.org/abs/1611.00712)."""

import torch
from torch import Tensor, nn

from ganzoo.one_hot import one_hot


class GumbelSoftmax(nn.Module):
    """Relaxed choices y = softmax((h + g) / tau) (arXiv:1611.01144, eq. 2) of symbols with the probabilities softmax(h), where
    g is Gumbel noise: scores h [..., V] -> float32 [..., V], of sum 1.

    The lower tau, the nearer is y to a one-hot vector, and the larger its gradient. tau falls linearly with the rounds: it is
    a buffer, set by `anneal`. In evaluation mode choices are exact: one-hot at argmax(h + g), the Gumbel-max trick (eq. 1).

    Args:
        first: tau at first.
        last: tau from round `steps` on.
        steps: rounds in which tau falls.

    Raises:
        ValueError: a temperature that is not above 0, or steps below 1.
    """

    tau: Tensor

    def __init__(self, first: float = 5.0, last: float = 1.0, steps: int = 20_000) -> None:
        super().__init__()
        if min(first, last) <= 0 or steps < 1:
            raise ValueError(f"temperatures and their rounds must be above 0, not {first:g}, {last:g} and {steps}")
        self.first, self.last, self.steps = first, last, steps
        self.register_buffer("tau", torch.tensor(float(first)))

    def forward(self, scores: Tensor) -> Tensor:
        noisy = scores.float() + gumbel(scores)
        return self.relaxed(noisy) if self.training else chosen(noisy)

    def relaxed(self, noisy: Tensor) -> Tensor:
        """h + g -> y."""
        return (noisy / self.tau).softmax(-1)

    @torch.no_grad()
    def anneal(self, step: int) -> None:
        """Set tau, in place, for round `step`."""
        self.tau.fill_(self.first + (self.last - self.first) * min(1.0, step / self.steps))


class StraightThrough(GumbelSoftmax):
    """Exact choices in training too, whose gradient is that of the relaxed ones (arXiv:1611.01144, section 2.2): a
    discriminator cannot tell them from real symbols by their softness."""

    def relaxed(self, noisy: Tensor) -> Tensor:
        soft = super().relaxed(noisy)
        return chosen(noisy) + (soft - soft.detach())


def gumbel(like: Tensor) -> Tensor:
    """g = -log(-log u), u ~ U(0, 1): float32, of the same shape."""
    uniform = torch.rand_like(like, dtype=torch.float32).clamp(min=torch.finfo(torch.float32).tiny)
    return -(-uniform.log()).log()


def chosen(scores: Tensor) -> Tensor:
    """One-hot at the largest: [..., V] -> float32 [..., V]."""
    return one_hot(scores.argmax(-1), scores.shape[-1])
