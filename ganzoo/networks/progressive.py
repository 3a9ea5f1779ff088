"""Networks that grow from small images to large ones (ProGAN, https://arxiv.org/abs/1710.10196, section 2, table 2, and the
authors' code)."""

from itertools import pairwise
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.networks.equalised import SLOPE, EqualisedConv2d, EqualisedLinear, MinibatchStddev, pixel_norm
from ganzoo.networks.filters import boxed, enlarged
from ganzoo.networks.layers import precise, square_size
from ganzoo.networks.r3gan import widths

SIZES = [8, 16, 32, 64, 128, 256, 512, 1024]
GAIN = sqrt(2)  # He's constant, here in the weights and not behind leaky ReLU


def reduced(x: Tensor, halvings: int = 1) -> Tensor:
    """By means: [N, C, H, W] -> [N, C, H / 2^halvings, W / 2^halvings]."""
    return F.avg_pool2d(x, 2**halvings) if halvings else x


def doubled(x: Tensor, layer: EqualisedConv2d) -> Tensor:
    """layer(enlarged(x)) of a 3x3 convolution, by one with 4x4 weights and less than half of the products."""
    weight = 4 * boxed((layer.weight * layer.scale).flip(2, 3), 1, padding=1)
    return F.conv_transpose2d(x, weight.transpose(0, 1), layer.bias, stride=2, padding=1)


def halved(x: Tensor, layer: EqualisedConv2d) -> Tensor:
    """reduced(layer(x)), likewise."""
    return F.conv2d(x, boxed(layer.weight * layer.scale, 1, padding=1), layer.bias, stride=2, padding=1)


class Growing(nn.Module):
    """Parent of networks with a level for each doubling, 4x4 the lowest, of which only those up to `level` play.

    Images are of the full size whatever the level: smaller ones are enlarged by nearest neighbours, larger ones reduced to
    means. So nothing outside needs to know of levels. The level is a plain number, so that a compiled move is of one level,
    and `alpha` a buffer: how far the level has been faded in, from 0, the network as it was without it, to 1. A new network
    plays with all its levels. Neither is saved: they follow from the images seen (`GrowingDuel`).
    """

    alpha: Tensor

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels, self.level = levels, levels - 1
        self.register_buffer("alpha", torch.ones(()), persistent=False)

    def grow(self, level: int, alpha: float) -> None:
        """Play with so many levels above 4x4 from now on."""
        self.level = level
        self.alpha.fill_(alpha)

    @property
    def above(self) -> int:
        """How many levels do not play yet."""
        return self.levels - 1 - self.level

    def faded(self, real: Tensor) -> Tensor:
        """Images as sharp as this network's own, so that sharpness does not tell them apart: [N, C, H, W] -> the same."""
        x = reduced(real, self.above)
        if self.level:
            x = torch.lerp(enlarged(reduced(x)), x, self.alpha)
        return enlarged(x, self.above)


class GrowingGenerator(Growing):
    """Parent of generators: the levels' channels, and their layers that make images of maps.

    Args:
        shape: of an image: square, of one of `SIZES`.
        width: channels of the maps up to 32x32; halved with each doubling from there.

    Raises:
        ValueError: another shape.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        channels = widths(square_size(type(self).__name__, shape, SIZES), width)
        super().__init__(len(channels))
        self.channels = channels
        self.to_rgb = nn.ModuleList(EqualisedConv2d(n, shape[0], 1) for n in channels)

    def image(self, before: Tensor, x: Tensor) -> Tensor:
        """Of the level's maps [N, C, S, S] and, to fade from, those of the level before [N, C', S / 2, S / 2].

        The last layer is linear, without tanh: images leave [-1, 1] a little in training, and are clamped in evaluation mode.
        """
        image = precise(self.to_rgb[self.level](x))
        if self.level:
            image = torch.lerp(enlarged(precise(self.to_rgb[self.level - 1](before))), image, self.alpha)
        image = enlarged(image, self.above)
        return image if self.training else image.clamp(-1, 1)


class DoublingBlock(nn.Module):
    """Maps doubled, two 3x3 convolutions with leaky ReLU and pixel norm: [N, inputs, H, W] -> [N, outputs, 2H, 2W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.one = EqualisedConv2d(inputs, outputs, 3, gain=GAIN)
        self.two = EqualisedConv2d(outputs, outputs, 3, gain=GAIN)

    def forward(self, x: Tensor) -> Tensor:
        return normalised(self.two(normalised(doubled(x, self.one))))


def normalised(x: Tensor) -> Tensor:
    """Leaky ReLU and pixel norm: [N, C, H, W] -> the same."""
    return pixel_norm(F.leaky_relu(x, SLOPE))


class ProGANGenerator(GrowingGenerator):
    """[N, latent_dim] -> [N, *shape]: z, put on the hypersphere, makes 4x4 maps; each level doubles them.

    Args:
        width: channels of the maps up to 32x32; halved with each doubling from there (512 in the paper).

    Raises:
        ValueError: a size that is not one of 8, 16, ..., 1024.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], *, width: int = 512) -> None:
        super().__init__(shape, width)
        # The gain over 4: as if of a 4x4 convolution, which it was in the authors' first code.
        self.first = EqualisedLinear(latent_dim, 16 * self.channels[0], bias=None, gain=GAIN / 4)
        self.bias = nn.Parameter(torch.zeros(self.channels[0]))
        self.convolution = EqualisedConv2d(self.channels[0], self.channels[0], 3, gain=GAIN)
        self.blocks = nn.ModuleList(DoublingBlock(below, here) for below, here in pairwise(self.channels))

    def forward(self, z: Tensor) -> Tensor:
        x = self.first(pixel_norm(z)).unflatten(1, (-1, 4, 4)) + self.bias[:, None, None]
        before = x = normalised(self.convolution(normalised(x)))
        for block in self.blocks[: self.level]:
            before, x = x, block(x)
        return self.image(before, x)


class HalvingBlock(nn.Module):
    """Two 3x3 convolutions with leaky ReLU, the second's maps halved: [N, inputs, H, W] -> [N, outputs, H / 2, W / 2]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.one = EqualisedConv2d(inputs, inputs, 3, gain=GAIN)
        self.two = EqualisedConv2d(inputs, outputs, 3, gain=GAIN)

    def forward(self, x: Tensor) -> Tensor:
        x = self.filtered(F.leaky_relu(self.one(x), SLOPE))
        return F.leaky_relu(halved(x, self.two), SLOPE)

    def filtered(self, x: Tensor) -> Tensor:
        """Maps before they are halved: [N, C, H, W] -> the same."""
        return x


class ProGANDiscriminator(Growing):
    """[N, *shape] -> logits [N]: the generator's mirror image; at 4x4 it sees how much the samples of a pass differ.

    So real and fake samples must not be mixed in a pass.

    Args:
        width: as the generator's.
        group: samples whose differences are measured together (`MinibatchStddev`).

    Raises:
        ValueError: a size that is not one of 8, 16, ..., 1024.
    """

    block: type[HalvingBlock] = HalvingBlock

    def __init__(self, shape: tuple[int, ...], *, width: int = 512, group: int = 4) -> None:
        channels = widths(square_size(type(self).__name__, shape, SIZES), width)
        super().__init__(len(channels))
        self.from_rgb = nn.ModuleList(EqualisedConv2d(shape[0], n, 1, gain=GAIN) for n in channels)
        self.blocks = nn.ModuleList(self.block(here, below) for below, here in pairwise(channels))
        self.stddev = MinibatchStddev(group)
        self.convolution = EqualisedConv2d(channels[0] + 1, channels[0], 3, gain=GAIN)
        self.linear = EqualisedLinear(16 * channels[0], channels[0], gain=GAIN)
        self.last = EqualisedLinear(channels[0], 1)

    def forward(self, x: Tensor) -> Tensor:
        return precise(self.last(self.features(x))).squeeze(1)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: [N, width]."""
        image = reduced(x, self.above)
        h = self.maps(self.level, image)
        for level in range(self.level, 0, -1):
            h = self.blocks[level - 1](h)
            if level == self.level:
                h = torch.lerp(self.maps(level - 1, reduced(image)), h, self.alpha.to(h.dtype))
        h = F.leaky_relu(self.convolution(self.stddev(h)), SLOPE)
        return F.leaky_relu(self.linear(h.flatten(1)), SLOPE)

    @property
    def stages(self) -> list[list[nn.Module]]:
        """The first layer and each block of the whole network, from the image on: what can be frozen."""
        return [[self.from_rgb[-1]], *([block] for block in reversed(self.blocks))]

    def maps(self, level: int, image: Tensor) -> Tensor:
        """Of an image of the level's size: [N, C, S, S] -> [N, channels, S, S]."""
        return F.leaky_relu(self.from_rgb[level](image), SLOPE)
