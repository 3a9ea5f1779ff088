"""ESRGAN's generator: residual in residual dense blocks (Wang et al. 2018, https://arxiv.org/abs/1809.00219, figure 4)."""

from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.networks.srresnet import factors

RESIDUAL = 0.2  # beta: what part of a residual is added


class RRDBNet(nn.Module):
    """Without any normalisation: [N, C, h, w] -> float32 [N, C, scale h, scale w].

    Its last layer is linear: what leaves [-1, 1] is clipped by whoever shows it.

    Args:
        shape: (C, H, W) of the large images; only C matters.
        scale: 2, 3, 4 or 8.
        width: channels of the maps between the blocks.
        growth: channels that each dense layer adds.
        blocks: residual in residual ones.

    Attributes:
        reach: pixels of the small image, to each side, that one of its pixels has a say in.

    Raises:
        ValueError: another scale.
    """

    def __init__(self, shape: tuple[int, ...], scale: int = 4, *, width: int = 64, growth: int = 32, blocks: int = 23) -> None:
        super().__init__()
        channels = shape[0]
        self.factors = factors(scale)
        sizes = [2 ** (i + 1) if scale != 3 else 3 for i in range(len(self.factors))]
        self.reach = ceil(2 + 15 * blocks + sum(1 / size for size in sizes) + 2 / scale)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*(RRDB(width, growth) for _ in range(blocks)))
        self.after = nn.Conv2d(width, width, 3, padding=1)
        self.up = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in self.factors])
        self.large = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)  # [N, width, h, w]
        h = h + self.after(self.blocks(h))
        for factor, layer in zip(self.factors, self.up, strict=True):
            h = F.leaky_relu(layer(F.interpolate(h, scale_factor=float(factor))), 0.2)
        return self.last(F.leaky_relu(self.large(h), 0.2)).float()


class RRDB(nn.Module):
    """Three dense blocks in a row, with a shortcut around each and around all: [N, C, H, W] -> the same."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(ResidualDenseBlock(width, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return x + RESIDUAL * self.dense(x)


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it have made: [N, C, H, W] -> the same.

    They begin small, at a tenth of He's initialisation (section 3.1).
    """

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        outs = [growth] * 4 + [width]
        self.layers = nn.ModuleList([nn.Conv2d(width + i * growth, out, 3, padding=1) for i, out in enumerate(outs)])
        for layer in self.layers:
            convolution: Any = layer
            nn.init.kaiming_normal_(convolution.weight)
            nn.init.zeros_(convolution.bias)
            with torch.no_grad():
                convolution.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.layers[:-1]:
            seen.append(F.leaky_relu(layer(torch.cat(seen, 1)), 0.2))
        return x + RESIDUAL * self.layers[-1](torch.cat(seen, 1))
