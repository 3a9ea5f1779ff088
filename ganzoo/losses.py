"""Adversarial costs as functions of the discriminator's logits, and the norm behind every gradient penalty.

D(x) = sigmoid(logit). Each cost takes logits [N] or [N, ...] and returns a scalar, the mean over all of them.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def cross_entropy(logit: Tensor, target: float) -> Tensor:
    """-E[t log D + (1 - t) log(1 - D)] against a constant target t in [0, 1]."""
    return F.binary_cross_entropy_with_logits(logit, torch.full_like(logit, target))


def minimax(fake_logit: Tensor) -> Tensor:
    """E log(1 - D(G(z))), which saturates where D is sure (arXiv:1406.2661, eq. 1)."""
    return F.logsigmoid(-fake_logit).mean()


def non_saturating(fake_logit: Tensor) -> Tensor:
    """-E log D(G(z)): the same fixed point, strong gradients early (arXiv:1406.2661, section 3)."""
    return -F.logsigmoid(fake_logit).mean()


def maximum_likelihood(fake_logit: Tensor) -> Tensor:
    """-1/2 E exp(sigma^-1(D(G(z)))) = -1/2 E exp(logit): KL(data || model) for an optimal D (arXiv:1701.00160, eq. 14)."""
    return -0.5 * fake_logit.exp().mean()


def least_squares(logit: Tensor, target: float) -> Tensor:
    """1/2 E (D - target)^2, D being the logit itself (arXiv:1611.04076, eq. 2)."""
    return 0.5 * (logit - target).square().mean()


def gradient_norm(discriminator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """||grad_x D(x)||_2 of each sample over all its dimensions, differentiable once more: [N, ...] -> [N].

    The sum over the batch gives every sample its own gradient only as long as no layer of D mixes samples: batch
    normalisation does (arXiv:1704.00028, section 4).
    """
    x = x if x.requires_grad else x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return gradient.flatten(1).norm(dim=1)


def refuse_batch_norm(discriminator: nn.Module, variant: str) -> None:
    """For variants whose penalty is on each sample's own gradient.

    Raises:
        ValueError: the discriminator has batch normalisation.
    """
    if any(isinstance(layer, _BatchNorm) for layer in discriminator.modules()):
        raise ValueError(f"{variant} cannot have batch normalisation in its discriminator: set its norm to none or layer")
