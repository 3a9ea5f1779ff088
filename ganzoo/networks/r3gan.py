"""The networks of R3GAN (https://arxiv.org/abs/2501.05441, section 4 and the authors' code): residual blocks without any
normalisation, grouped convolutions, smooth resampling; and how its class labels enter."""

from itertools import pairwise
from math import sqrt
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.networks.conditional import DiscriminatorClass, GeneratorClass, ending_in
from ganzoo.networks.filters import SmoothDownsampling, SmoothUpsampling
from ganzoo.networks.layers import square_size

SIZES = [16, 32, 64, 128, 256]
SLOPE = 0.2
GAIN = sqrt(2 / (1 + SLOPE**2))  # what leaky ReLU takes from the second moment of a map, given back by the weights before it

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def scaled(layer: Layer, gain: float = 1.0) -> Layer:
    """The layer with weights ~ N(0, gain^2 / inputs) and biases of zero."""
    nn.init.normal_(layer.weight, std=gain / sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def pointwise(inputs: int, outputs: int, gain: float = 1.0, *, bias: bool = False) -> nn.Conv2d:
    return scaled(nn.Conv2d(inputs, outputs, 1, bias=bias), gain)


def widths(size: int, width: int) -> list[int]:
    """Channels of the maps from 4x4 up to the image: `width` up to 32x32, then half as many with each doubling."""
    return [max(1, width >> max(0, i - 3)) for i in range(size.bit_length() - 2)]


@torch.library.custom_op("ganzoo::grouped_convolution", mutates_args=())
def grouped_convolution(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """F.conv2d with 3x3 weights [C, C / groups, 3, 3], zeros around: [N, C, H, W] -> the same.

    Torch differentiates its own twice by a loop over the groups, 96 small convolutions a layer. Here the gradient for x is a
    transposed convolution, which is differentiated like any other. A compiled move takes the operator as it is.
    """
    return F.conv2d(x, weight, padding=1, groups=groups)


@grouped_convolution.register_fake
def _(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    return F.conv2d(x, weight, padding=1, groups=groups)


def remember(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    x, weight, ctx.groups = inputs
    ctx.save_for_backward(x, weight)


def gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    x, weight = ctx.saved_tensors
    once = ([1, 1], [1, 1], [1, 1], False, [0, 0], ctx.groups)  # stride, padding, dilation, transposed, output padding
    of_weight = torch.ops.aten.convolution_backward(gradient, x, weight, None, *once, [False, True, False])[1]
    return F.conv_transpose2d(gradient, weight, padding=1, groups=ctx.groups), of_weight, None


grouped_convolution.register_autograd(gradients, setup_context=remember)


class R3GANBlock(nn.Module):
    """x + f(x), f: 1x1 to twice the channels, 3x3 in groups, 1x1 back, with leaky ReLU between: [N, C, H, W] -> the same.

    At first f is zero, because its last weights are, and the others are so small that the variance does not grow with the
    depth of the network (Fixup, arXiv:1901.09321): this stands for normalisation.

    Args:
        depth: number of such blocks in the whole network.
        group_width: channels in each group of the 3x3 convolution.
    """

    def __init__(self, channels: int, depth: int, group_width: int) -> None:
        super().__init__()
        hidden = 2 * channels
        gain = GAIN * depth ** (-1 / 4)  # depth^(-1 / (2 m - 2)) with m = 3 layers in f
        groups = max(1, hidden // group_width)
        self.one = pointwise(channels, hidden, gain, bias=True)
        self.two = scaled(nn.Conv2d(hidden, hidden, 3, groups=groups, bias=False), gain)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.three = pointwise(hidden, channels, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.one(x), SLOPE)
        # In the dtype that autocast gives the layers around it, of which it knows nothing.
        h = grouped_convolution(h, self.two.weight.to(h.dtype), self.two.groups) + self.bias.to(h.dtype)[:, None, None]
        return x + self.three(F.leaky_relu(h, SLOPE))


class GenerativeBasis(nn.Module):
    """A learned 4x4 map for each channel, times a linear function of z: [N, latent_dim] -> [N, channels, 4, 4]."""

    def __init__(self, latent_dim: int, channels: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(channels, 4, 4))
        self.project = scaled(nn.Linear(latent_dim, channels, bias=False))

    def forward(self, z: Tensor) -> Tensor:
        return self.basis * self.project(z)[:, :, None, None]


class DiscriminativeBasis(nn.Module):
    """Each channel's map weighed by a learned one: [N, channels, 4, 4] -> [N, channels]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(channels, 4, 4) / 4)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.basis).sum((2, 3))


class R3GANGenerator(nn.Module):
    """[N, latent_dim] -> [N, *shape]: a basis at 4x4, two blocks, and for each doubling an upsampling and two blocks.

    The last layer is linear, without tanh: images leave [-1, 1] a little in training, and are clamped in evaluation mode.

    Args:
        width: channels of the maps up to 32x32; halved with each doubling from there (768 in the paper; ImageNet 1536).
        blocks: at each size.
        group_width: channels in a group of the 3x3 convolutions (16 in the paper; ImageNet 32).

    Raises:
        ValueError: a size that is not one of 16, 32, 64, 128, 256.
    """

    def __init__(
        self, latent_dim: int, shape: tuple[int, ...], *, width: int = 768, blocks: int = 2, group_width: int = 16
    ) -> None:
        super().__init__()
        channels = widths(square_size("R3GANGenerator", shape, SIZES), width)
        depth = blocks * len(channels)
        layers: list[nn.Module] = [GenerativeBasis(latent_dim, channels[0])]
        for i, here in enumerate(channels):
            if i > 0:  # the 1x1 convolution first: on the smaller map
                layers += [pointwise(channels[i - 1], here)] if channels[i - 1] != here else []
                layers.append(SmoothUpsampling())
            layers += [R3GANBlock(here, depth, group_width) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, pointwise(channels[-1], shape[0]))

    def forward(self, z: Tensor) -> Tensor:
        x = self.layers(z).float()
        return x if self.training else x.clamp(-1, 1)


class R3GANDiscriminator(nn.Module):
    """[N, *shape] -> logits [N]: the generator's mirror image; at 4x4 each channel's map is weighed by a learned one.

    Args:
        width: channels of the maps down from 32x32; halved with each doubling from there.
        blocks: at each size.
        group_width: channels in a group of the 3x3 convolutions.

    Raises:
        ValueError: a size that is not one of 16, 32, 64, 128, 256.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 768, blocks: int = 2, group_width: int = 16) -> None:
        super().__init__()
        channels = widths(square_size("R3GANDiscriminator", shape, SIZES), width)[::-1]
        depth = blocks * len(channels)
        layers: list[nn.Module] = [pointwise(shape[0], channels[0])]
        for here, after in pairwise([*channels, 0]):
            layers += [R3GANBlock(here, depth, group_width) for _ in range(blocks)]
            if after:
                layers.append(SmoothDownsampling())
                layers += [pointwise(here, after)] if after != here else []
        self.layers = nn.Sequential(*layers, DiscriminativeBasis(channels[-1]))
        self.last = scaled(nn.Linear(channels[-1], 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x)).float().squeeze(1)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: [N, features]."""
        return self.layers(x)

    @property
    def stages(self) -> list[list[nn.Module]]:
        """The layers at each size, from the image on: what can be frozen."""
        sizes: list[list[nn.Module]] = [[]]
        for layer in self.layers[:-1]:
            sizes[-1].append(layer)
            if isinstance(layer, SmoothDownsampling):
                sizes.append([])
        return sizes


class EmbeddingGenerator(nn.Module):
    """G(z, y) of any generator, which is given z and a learned vector of the class y, as long as z, as one vector."""

    def __init__(self, kind: GeneratorClass, classes: int, latent_dim: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.embed = nn.Embedding(classes, latent_dim)
        nn.init.normal_(self.embed.weight, std=1 / sqrt(classes))
        self.network = kind(2 * latent_dim, shape)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return self.network(torch.cat([z, self.embed(label)], dim=1))


class EmbeddingDiscriminator(nn.Module):
    """D(x, y) = <W phi(x), e(y)>: [N, *shape], [N] -> logits [N], float32.

    phi are the features of any discriminator; W, square, is put in place of its last layer; e is learned for each class.
    """

    def __init__(self, kind: DiscriminatorClass, classes: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        network = kind(shape)
        features: int = getattr(getattr(network, "last", None), "in_features", 1)
        self.network = ending_in(features, network, bias=False)  # W's variance is 1 / features, as the authors'
        self.embed = nn.Embedding(classes, features)
        nn.init.normal_(self.embed.weight, std=1 / sqrt(classes * features))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        projected: Tensor = self.network.last(self.network.features(x))  # type: ignore[operator]
        return (projected.float() * self.embed(label)).sum(1)
