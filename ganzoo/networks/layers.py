"""Layers shared by several networks."""

from collections.abc import Callable
from math import sqrt
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Norm = Literal["batch", "layer", "none"]
GeneratorNorm = Literal["batch", "layer", "virtual", "none"]
DiscriminatorNorm = Literal["batch", "layer", "spectral", "none"]
Network = TypeVar("Network", bound=nn.Module)

REFERENCE = 64  # samples in virtual batch normalisation's reference batch


def precise(x: Tensor) -> Tensor:
    """In float32, whatever autocast does; float64 stays."""
    return x if x.dtype == torch.float64 else x.float()


def normalisation(norm: GeneratorNorm | DiscriminatorNorm, channels: int) -> nn.Module:
    """Batch normalisation, layer normalisation over [C, H, W], virtual batch normalisation, or nothing (`spectral` is of
    weights, not of maps): [N, C, H, W] -> the same."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "virtual":
        return VirtualBatchNorm(channels)
    return nn.GroupNorm(1, channels) if norm == "layer" else nn.Identity()


class Layers(nn.Sequential):
    """Layers in a row, where those that say `takes_label` are given the labels [N] too, if there are any."""

    takes_label = True

    def forward(self, x: Tensor, *label: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, *label) if getattr(layer, "takes_label", False) else layer(x)
        return x


class VirtualBatchNorm(nn.Module):
    """Each sample normalised by a reference batch and itself, whatever its neighbours are: [R + N, C, H, W] -> the same.

    The first R samples are the reference batch, normalised by its own statistics (arXiv:1606.03498, section 3.6). To those
    of a sample x it contributes R parts and x one, as in the authors' code:
    mu = (R mu_ref + mu_x) / (R + 1), E = (R E_ref[x^2] + E_x[x^2]) / (R + 1), (x - mu) / sqrt(E - mu^2 + eps).

    Args:
        reference: R.
        eps: added to the variance.
    """

    def __init__(self, channels: int, reference: int = REFERENCE, eps: float = 1e-5) -> None:
        super().__init__()
        self.reference, self.eps = reference, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        h = precise(x)
        var, mean = torch.var_mean(h, (2, 3), correction=0)  # of each sample: [R + N, C]
        ref_var, ref_mean = torch.var_mean(h[: self.reference], (0, 2, 3), correction=0)  # [C]
        index = torch.arange(len(x), device=x.device)[:, None]
        own = torch.where(index < self.reference, 0.0, 1 / (self.reference + 1)).to(h.dtype)  # part of x in its statistics
        mu = torch.lerp(ref_mean, mean, own)  # [R + N, C]
        # E - mu^2, each part taken about mu: the difference of two large squares would lose its digits.
        variance = torch.lerp(ref_var + (ref_mean - mu).square(), var + (mean - mu).square(), own)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mu * scale
        return (h * scale[:, :, None, None] + shift[:, :, None, None]).to(x.dtype)


class AllReduced(torch.autograd.Function):
    """The sum of all ranks' tensors, differentiable any number of times: what each rank's was good for, all ranks felt."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return AllReduced.apply(gradient)  # type: ignore[no-untyped-call]


class SynchronisedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation by the statistics of all ranks' batches together, which are alike in size: [N, C, ...] -> the same.

    torch's own refuses CPUs and has no gradient of a gradient. In evaluation mode, or alone, it is that which it is made of.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not dist.is_initialized() or (world := dist.get_world_size()) == 1:
            return super().forward(x)
        h = precise(x)
        var, mean = torch.var_mean(h, [0, *range(2, x.ndim)], correction=0)  # of this rank: [C]
        own = F.pad(torch.stack([var, mean])[None], (0, 0, 0, 0, dist.get_rank(), world - 1 - dist.get_rank()))
        vars, means = AllReduced.apply(own).unbind(1)  # type: ignore[no-untyped-call]  # of each: [world, C]
        mean = means.mean(0)
        var = (vars + (means - mean).square()).mean(0)  # not E[x^2] - mean^2: large squares would lose their digits
        self._remember(mean.detach(), var.detach(), world * x.numel() // x.shape[1])
        scale = (var + self.eps).rsqrt() if self.weight is None else self.weight * (var + self.eps).rsqrt()
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        return torch.addcmul(along_channels(shift, x), h, along_channels(scale, x)).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor, n: int) -> None:
        """Move the running statistics, whose variance is the unbiased one of n values."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_((var * (n / (n - 1))).to(self.running_var.dtype), share)


class SynchronisedBatchNorm1d(SynchronisedBatchNorm, nn.BatchNorm1d):
    """Of vectors: [N, C] -> the same."""


class SynchronisedBatchNorm2d(SynchronisedBatchNorm, nn.BatchNorm2d):
    """Of maps: [N, C, H, W] -> the same."""


SYNCHRONISED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: SynchronisedBatchNorm1d,
    nn.BatchNorm2d: SynchronisedBatchNorm2d,
}


def synchronise(network: Network, kinds: dict[type[nn.Module], type[nn.Module]] = SYNCHRONISED) -> Network:
    """The network, each of whose layers of one kind (batch normalisation) has become the other, with its weights."""
    for layer in network.modules():
        layer.__class__ = kinds.get(type(layer), type(layer))
    return network


def along_channels(x: Tensor, like: Tensor) -> Tensor:
    """[C] -> [C, 1, ...], to be seen beside [N, C, ...]."""
    return x.view(-1, *[1] * (like.ndim - 2))


def behind(reference: Tensor | None, network: Callable[..., Tensor], z: Tensor, *label: Tensor) -> Tensor:
    """network(z), with z behind the reference batch that virtual batch normalisation needs, if there is one.

    Only a network that has no reference batch may be given the label that conditional batch normalisation needs.
    """
    return network(z, *label) if reference is None else network(torch.cat([reference, z]))[len(reference) :]


def spectrally_normalised(network: Network) -> Network:
    """The network, whose every linear and convolutional weight W [out, ...] counts as W / sigma(W) (arXiv:1802.05957, eq. 8).

    sigma, the largest singular value of W as a matrix, is u^T W v. u and v are buffers: each pass in training mode moves
    them by one power iteration (Algorithm 1), so twice in a turn that sees real and fake; evaluation leaves them alone.
    """
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            spectral_norm(layer)
    return network


class MinibatchDiscrimination(nn.Module):
    """Beside each sample's features, how close it is to the others of its batch: [N, A] -> [N, A + B].

    The features f(x_i) times a tensor T [A, B, C] are a matrix M_i [B, C], whose rows are compared (arXiv:1606.03498,
    section 3.2): c_b(x_i, x_j) = exp(-||M_i,b - M_j,b||_1) and o(x_i)_b = sum_j c_b(x_i, x_j). A generator that makes the
    same sample again and again is found out by a large o. (The authors' code leaves out j = i, which adds 1 to each.)

    Args:
        features: A.
        kernels, size: B and C; 100 and 5 in the authors' code.
    """

    ties_samples = True  # as batch normalisation does: penalties on each sample's own gradient refuse it

    def __init__(self, features: int, kernels: int = 100, size: int = 5) -> None:
        super().__init__()
        self.transform = nn.Parameter(torch.randn(features, kernels, size) / sqrt(features))

    def forward(self, features: Tensor) -> Tensor:
        matrix = (features @ self.transform.flatten(1)).float().unflatten(1, self.transform.shape[1:])  # M [N, B, C]
        closeness = (-(matrix[:, None] - matrix).abs().sum(3)).exp()  # c [N, N, B]
        return torch.cat([features.float(), closeness.sum(1)], dim=1)


def square_size(network: str, shape: tuple[int, ...], allowed: list[int]) -> int:
    """The side of a square image.

    Raises:
        ValueError: the image is not square or the network cannot do its size; the nearest sizes are named.
    """
    if len(shape) != 3:
        raise ValueError(f"{network} makes images, not samples of shape {shape}: choose an MLP network for them")
    _, height, width = shape
    if height != width or height not in allowed:
        near = sorted(sorted(allowed, key=lambda size: abs(size - height))[:2])
        raise ValueError(f"{network} cannot do {height} x {width} images: set --data.size to {' or '.join(map(str, near))}")
    return height
