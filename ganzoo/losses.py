"""Adversarial costs as functions of the discriminator's logits, feature matching, and the norm behind every gradient penalty.

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


def hinge(real_logit: Tensor, fake_logit: Tensor) -> dict[str, Tensor]:
    """D's terms E max(0, 1 - D(x)) and E max(0, 1 + D(G(z))) (arXiv:1802.05957, eq. 16), of logits [N]; G's is -E D(G(z))."""
    return {"real": F.relu(1 - real_logit).mean(), "fake": F.relu(1 + fake_logit).mean()}


def feature_matching(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """||E f(x) - E f(G(z))||^2 of a layer's activations [N, ...] (arXiv:1606.03498, section 3.1)."""
    return (real_features.float().mean(0) - fake_features.float().mean(0)).square().sum()


def correlation(weight: Tensor) -> Tensor:
    """||W^T W * (1 - I)||_F^2 (arXiv:1809.11096, eq. 3): how far a weight's filters [out, ...] are from orthogonal to each
    other. Their norms do not count."""
    with torch.autocast(weight.device.type, enabled=False):
        filters = weight.flatten(1)
        gram = filters @ filters.T  # [out, out]
        return (gram - gram.diagonal().diag_embed()).square().sum()


def top_k(fake_logit: Tensor, share: Tensor) -> Tensor:
    """The logits [N], of which only the largest, k = ceil(share N), hand a gradient on (arXiv:2002.06224).

    Their values stay, so that any cost can follow. Its mean is still over N: the gradient is k / N of the mean's over k.

    Args:
        share: scalar tensor in (0, 1]: its value may change without a new shape, so that a compiled loss stays compiled.
    """
    rank = fake_logit.argsort(descending=True, stable=True).argsort()
    return torch.where(rank < share * len(fake_logit), fake_logit, fake_logit.detach())


def one_step_error(guessed: Tensor, states: Tensor) -> Tensor:
    """Mean squared distance of the next states from what was guessed at the states before them: [N, length, hidden] each."""
    return F.mse_loss(guessed[:, :-1], states[:, 1:])


def total_variation(images: Tensor) -> Tensor:
    """E sqrt((z_i,j+1 - z_i,j)^2 + (z_i+1,j - z_i,j)^2), how uneven images [N, C, H, W] are: a mean over
    pixels (arXiv:1611.02200, eq. 7, where it is a sum)."""
    across = images[..., :-1, 1:] - images[..., :-1, :-1]
    down = images[..., 1:, :-1] - images[..., :-1, :-1]
    return (across.square() + down.square() + 1e-12).sqrt().mean()  # whose gradient at 0 would not be finite


def gradient_norm(discriminator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """||grad_x D(x)||_2 of each sample over all its dimensions, differentiable once more: [N, ...] -> [N].

    The sum over the batch gives every sample its own gradient only as long as no layer of D mixes samples: batch
    normalisation does (arXiv:1704.00028, section 4).
    """
    x = x if x.requires_grad else x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return gradient.flatten(1).norm(dim=1)


def refuse_tied_samples(discriminator: nn.Module, variant: str) -> None:
    """For variants whose penalty is on each sample's own gradient.

    Raises:
        ValueError: the discriminator has batch normalisation, or another layer that lets samples see each other.
    """
    if any(getattr(layer, "ties_samples", isinstance(layer, _BatchNorm)) for layer in discriminator.modules()):
        raise ValueError(
            f"{variant}'s discriminator cannot have batch normalisation or minibatch discrimination: set its norm to none, "
            "layer or spectral and its minibatch_kernels to 0"
        )
