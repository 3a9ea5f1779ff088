"""Layers of ProGAN (https://arxiv.org/abs/1710.10196) and of the StyleGANs after it."""

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.networks.layers import precise

SLOPE = 0.2


def activated(x: Tensor, gain: float = sqrt(2)) -> Tensor:
    """Leaky ReLU times a gain: sqrt(2) keeps, nearly, the second moment."""
    return F.leaky_relu(x, SLOPE) * gain


def pixel_norm(x: Tensor) -> Tensor:
    """Each pixel's (or each sample's) vector of channels to a mean square of 1 (1710.10196, section 4.2): [N, C, ...]."""
    h = precise(x)  # in half precision squares and 1e-8 are no numbers
    return x * (h.square().mean(1, keepdim=True) + 1e-8).rsqrt().to(x.dtype)


class EqualisedLinear(nn.Module):
    """w x + b with w ~ N(0, 1) at first, divided by sqrt(inputs) each time it is used: [N, inputs] -> [N, outputs].

    So Adam, whose steps know no scale, moves all layers' weights alike (1710.10196, section 4.1: equalised learning rate).

    Args:
        bias: all biases' value at first; None: no biases.
        gain: of the weights (ProGAN's leaky ReLU has its sqrt(2) here, later networks in the activation).
        rate: factor on this layer's learning rate, whose weights and biases are worth as much less (StyleGAN: 0.01 in f).
    """

    def __init__(self, inputs: int, outputs: int, *, bias: float | None = 0.0, gain: float = 1.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = None if bias is None else nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.rate = gain * rate / sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, None if self.bias is None else self.bias * self.rate)


class EqualisedConv2d(nn.Module):
    """As `EqualisedLinear`, of maps: [N, inputs, H, W] -> [N, outputs, H', W'].

    Args:
        bias: whether there are biases, zeros at first.
        gain: of the weights.
        stride, padding: of the convolution; padding None: the maps keep their size.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        bias: bool = True,
        gain: float = 1.0,
        stride: int = 1,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = gain / sqrt(inputs * kernel**2)
        self.stride, self.padding = stride, kernel // 2 if padding is None else padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, self.stride, self.padding)


class MinibatchStddev(nn.Module):
    """Beside the maps how much samples differ in a group of their batch: [N, C, H, W] -> [N, C + 1, H, W].

    The standard deviation of each value over the group, and of these the mean over all of a sample's values (1710.10196,
    section 3). A generator that makes the same sample again and again is found out.

    Args:
        group: samples in a group, or the most below it that N is a multiple of (4 in the papers).
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        size = next(size for size in range(min(self.group, len(x)), 0, -1) if len(x) % size == 0)
        groups = precise(x).unflatten(0, (size, -1))  # [size, N / size, C, H, W]: as in the authors' code no neighbours
        # In float32: 1e-8 is zero in float16, and the root's gradient there is not finite.
        spread = (groups - groups.mean(0)).square().mean(0).add(1e-8).sqrt().mean((1, 2, 3)).to(x.dtype)  # [N / size]
        return torch.cat([x, spread.repeat(size).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])], dim=1)
