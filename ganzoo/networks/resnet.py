"""The ResNets of WGAN-GP (https://arxiv.org/abs/1704.00028), SNGAN (https://arxiv.org/abs/1802.05957) and SAGAN
(https://arxiv.org/abs/1805.08318), at 32, 64 and 128."""

from itertools import pairwise
from math import sqrt
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.networks.attention import SelfAttention
from ganzoo.networks.layers import (
    REFERENCE,
    DiscriminatorNorm,
    GeneratorNorm,
    Layers,
    MinibatchDiscrimination,
    behind,
    normalisation,
    spectrally_normalised,
    square_size,
)

# Widths of the maps from 4x4 up to the image, in units of `width`.
MULTIPLES = {32: [1, 1, 1, 1], 64: [8, 8, 4, 2, 1], 128: [16, 16, 8, 4, 2, 1]}


def convolution(inputs: int, outputs: int, kernel: int, gain: float) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Module):
    """Pre-activation residual block: [N, inputs, H, W] -> [N, outputs, sH, sW] with s = 2 (up), 1/2 (down) or 1 (None).

    `first` leaves out the activation on raw images.
    """

    takes_label = True

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        resample: Literal["up", "down"] | None,
        norm: GeneratorNorm | DiscriminatorNorm,
        first: bool = False,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        hidden = hidden or outputs
        self.before = nn.Identity() if first else Layers(normalisation(norm, inputs), nn.ReLU())
        self.one = convolution(inputs, hidden, 3, sqrt(2))
        self.between = Layers(normalisation(norm, hidden), nn.ReLU())
        self.two = convolution(hidden, outputs, 3, sqrt(2))
        plain = inputs == outputs and resample is None
        self.shortcut = nn.Identity() if plain else convolution(inputs, outputs, 1, 1.0)
        self.resample = resample

    def forward(self, x: Tensor, *label: Tensor) -> Tensor:
        h = self.before(x, *label)
        h = self.one(F.interpolate(h, scale_factor=2.0) if self.resample == "up" else h)
        h = self.two(self.between(h, *label))
        # A 1x1 convolution commutes with both resamplings: it runs on the smaller map.
        if self.resample == "up":
            return h + F.interpolate(self.shortcut(x), scale_factor=2.0)
        if self.resample == "down":
            return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))
        return h + self.shortcut(x)


def attending(blocks: list[Block], size: int, attention: int) -> list[nn.Module]:
    """The blocks, and self-attention behind the first one whose maps are of this side; they begin with maps of `size`.

    Raises:
        ValueError: none is.
    """
    sides = []
    for block in blocks:
        size = size * 2 if block.resample == "up" else size // 2 if block.resample == "down" else size
        sides.append(size)
    if attention not in sides:
        raise ValueError(f"self-attention needs maps of a side of {', '.join(map(str, dict.fromkeys(sides)))}, not {attention}")
    after = sides.index(attention) + 1
    return [*blocks[:after], SelfAttention(blocks[after - 1].two.out_channels), *blocks[after:]]


class ResNetGenerator(nn.Module):
    """[N, latent_dim] -> [N, *shape]: one upsampling block per doubling, from 4x4.

    Args:
        width: channels at 32 (WGAN-GP 128, SNGAN 256), or of the largest maps at 64 and 128 (64 in the papers).
        norm: of the maps; `virtual` by a reference batch, of noise drawn here, which is passed along each time.
        spectral: normalise the weights as well (SAGAN).
        attention: side of the maps that self-attention sees (SAGAN); 0: none.

    Raises:
        ValueError: a size other than 32, 64 and 128, or no maps of the side `attention`.
    """

    reference: Tensor | None

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        *,
        width: int = 128,
        norm: GeneratorNorm = "batch",
        spectral: bool = False,
        attention: int = 0,
    ) -> None:
        super().__init__()
        size = square_size("ResNetGenerator", shape, list(MULTIPLES))
        channels = [width * multiple for multiple in MULTIPLES[size]]
        self.project = linear(latent_dim, channels[0] * 16)
        blocks = [Block(a, b, resample="up", norm=norm) for a, b in pairwise(channels)]
        self.blocks = Layers(*(attending(blocks, 4, attention) if attention else blocks))
        self.out = Layers(normalisation(norm, channels[-1]), nn.ReLU(), convolution(channels[-1], shape[0], 3, 1.0))
        self.register_buffer("reference", torch.randn(REFERENCE, latent_dim) if norm == "virtual" else None)
        if spectral:
            spectrally_normalised(self)

    def forward(self, z: Tensor, *label: Tensor) -> Tensor:
        return behind(self.reference, self.images, z, *label)

    def images(self, z: Tensor, *label: Tensor) -> Tensor:
        h = self.project(z).unflatten(1, (-1, 4, 4))
        return torch.tanh(self.out(self.blocks(h, *label), *label).float())


class ResNetDiscriminator(nn.Module):
    """[N, *shape] -> logits [N]: at 32 two halvings and two plain blocks, above as many halvings as lead to 4x4 and a plain
    block; ReLU, pooling, linear.

    Args:
        width: channels at 32 (128 in the papers), or of the largest maps at 64 and 128 (64).
        norm: of the maps; or `spectral`, of the weights (SNGAN).
        pool: mean over the last map (WGAN-GP) or sum (SNGAN).
        hidden: as many channels between a block's two convolutions as it is given (SNGAN) or as it gives (SAGAN).
        minibatch_kernels: closeness of the samples to each other, by so many measures, seen by the last layer; 0: not seen.
        attention: side of the maps that self-attention sees (SAGAN); 0: none.

    Raises:
        ValueError: a size other than 32, 64 and 128, or no maps of the side `attention`.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 128,
        norm: DiscriminatorNorm = "none",
        pool: Literal["mean", "sum"] = "mean",
        hidden: Literal["inputs", "outputs"] = "inputs",
        minibatch_kernels: int = 0,
        attention: int = 0,
    ) -> None:
        super().__init__()
        size = square_size("ResNetDiscriminator", shape, list(MULTIPLES))
        channels = [shape[0]] + [width * multiple for multiple in reversed(MULTIPLES[size])]
        halvings = 2 if size == 32 else len(channels) - 2
        between = [a if hidden == "inputs" and i > 0 else b for i, (a, b) in enumerate(pairwise(channels))]
        blocks = [
            Block(a, b, resample="down" if i < halvings else None, norm=norm, first=i == 0, hidden=between[i])
            for i, (a, b) in enumerate(pairwise(channels))
        ]
        self.blocks = nn.Sequential(*(attending(blocks, size, attention) if attention else blocks))
        self.pool = pool
        self.closeness = MinibatchDiscrimination(channels[-1], minibatch_kernels) if minibatch_kernels else nn.Identity()
        self.last = linear(channels[-1] + minibatch_kernels, 1)
        if norm == "spectral":
            spectrally_normalised(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x)).float().squeeze(1)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: [N, features]."""
        h = F.relu(self.blocks(x))
        return self.closeness(h.mean((2, 3)) if self.pool == "mean" else h.sum((2, 3)))

    @property
    def stages(self) -> list[list[nn.Module]]:
        """Each block, from the image on: what can be frozen."""
        return [[block] for block in self.blocks]


def sngan_generator(latent_dim: int, shape: tuple[int, ...], **how: Any) -> nn.Module:
    """SNGAN's, with the paper's widths."""
    return ResNetGenerator(latent_dim, shape, width=256 if shape[-1] == 32 else 64, **how)


def sngan_discriminator(shape: tuple[int, ...], **how: Any) -> nn.Module:
    """SNGAN's, with the paper's widths."""
    return ResNetDiscriminator(shape, width=128 if shape[-1] == 32 else 64, norm="spectral", pool="sum", **how)
