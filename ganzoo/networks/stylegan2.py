"""The networks of StyleGAN2 (https://arxiv.org/abs/1912.04958), as in the code of ADA (https://arxiv.org/abs/2006.06676)."""

from collections.abc import Callable
from itertools import pairwise
from math import sqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.networks.conditional import ProjectionDiscriminator
from ganzoo.networks.equalised import EqualisedConv2d, EqualisedLinear, MinibatchStddev, activated, pixel_norm
from ganzoo.networks.filters import SmoothDownsampling, SmoothUpsampling, boxed
from ganzoo.networks.layers import square_size
from ganzoo.one_hot import one_hot

SIZES = [8, 16, 32, 64, 128, 256, 512, 1024]


def widths(size: int, base: int, most: int) -> list[int]:
    """Channels of the maps from 4x4 up to the image: base / side, but at most `most`."""
    return [min(base >> i, most) for i in range(2, size.bit_length())]


def knowing_classes(kind: Callable[..., nn.Module], classes: int, latent_dim: int, shape: tuple[int, ...]) -> nn.Module:
    """A generator that takes the classes itself.

    Raises:
        ValueError: it does not.
    """
    if (generator := with_classes(kind, classes, latent_dim, shape)) is None:
        raise ValueError(
            "StyleGAN2's generator takes the classes itself: choose StyleGAN2Generator, or --model.conditional false"
        )
    return generator


def told_classes(kind: Callable[..., nn.Module], classes: int, shape: tuple[int, ...]) -> nn.Module:
    """A discriminator that takes the classes itself, as StyleGAN2's; any other one becomes a projection discriminator."""
    return with_classes(kind, classes, shape) or ProjectionDiscriminator(kind, classes, shape)


def with_classes(kind: Callable[..., nn.Module], classes: int, *given: Any) -> nn.Module | None:
    """The network, or None if it takes no `classes`."""
    try:
        return kind(*given, classes=classes)
    except TypeError as error:
        if "classes" not in str(error):
            raise
        return None


class MappingNetwork(nn.Module):
    """f, of layers that learn slowly: noise z and, where there are classes, labels -> w: [N, latent_dim], [N] -> [N, w_dim].

    Args:
        latent_dim: of z; 0 for w of labels alone, as a discriminator's.
        layers: of w_dim units each.
        classes: of the labels; None: no labels.
        rate: factor on the layers' learning rate.
    """

    def __init__(self, latent_dim: int, w_dim: int, *, layers: int, classes: int | None = None, rate: float = 0.01) -> None:
        super().__init__()
        self.classes = classes or 0
        self.embed = EqualisedLinear(classes, w_dim) if classes else None
        sizes = [latent_dim + (w_dim if classes else 0)] + [w_dim] * layers
        self.layers = nn.ModuleList(EqualisedLinear(a, b, rate=rate) for a, b in pairwise(sizes))

    def forward(self, z: Tensor | None, *label: Tensor) -> Tensor:
        with torch.autocast(next(self.parameters()).device.type, enabled=False):  # w in float32, as the authors'
            parts = [] if z is None else [pixel_norm(z)]
            if self.embed is not None:
                parts.append(pixel_norm(self.embed(one_hot(label[0], self.classes))))
            x = torch.cat(parts, dim=1)
            for layer in self.layers:
                x = activated(layer(x))
            return x


def modulated(x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool, up: bool = False) -> Tensor:
    """x convolved by each sample's own weights w' = s w (eq. 1), each filter divided, if demodulated, by its norm (eq. 3).

    The scales of the weights' inputs are put on x, and those of their outputs on the result, so that all samples share one
    convolution: torch has to differentiate one with groups twice by a loop over the samples.

    Args:
        x: [N, I, H, W].
        weight: w, [O, I, k, k].
        style: s, [N, I].
        up: to twice the side, through zeros put between, and smoothed by [1, 3, 3, 1] / 4.

    Returns: [N, O, H, W] or [N, O, 2H, 2W].
    """
    h = x * style.to(x.dtype)[:, :, None, None]
    if up:
        h = 4 * boxed(F.conv_transpose2d(h, weight.transpose(0, 1), stride=2), 3, padding=1)
    else:
        h = F.conv2d(h, weight, padding=weight.shape[2] // 2)
    if not demodulate:
        return h
    with torch.autocast(x.device.type, enabled=False):  # or a sum of squares would have two digits
        scale = (style.float().square() @ weight.float().square().sum((2, 3)).T + 1e-8).rsqrt()  # [N, O]
    return h * scale.to(h.dtype)[:, :, None, None]


class StyledLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU: [N, inputs, H, W], w [N, w_dim] -> [N, outputs, sH, sW].

    Noise is one value for each pixel, times a strength that is learned from zero on: new for each sample in training mode, and
    always the same in evaluation mode, so that what is sampled depends on z alone.

    Args:
        size: side of the maps that it makes.
        up: s = 2.
    """

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, w_dim: int, size: int, *, up: bool = False) -> None:
        super().__init__()
        self.affine = EqualisedLinear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(size, size))
        self.up = up

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        h = modulated(x, self.weight, self.affine(w), demodulate=True, up=self.up)
        noise = torch.randn(len(x), 1, *h.shape[2:], device=x.device) if self.training else self.noise
        return activated(h + (noise * self.strength).to(h.dtype) + self.bias.to(h.dtype)[:, None, None])


class ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation: [N, inputs, H, W], w [N, w_dim] -> [N, channels, H, W]."""

    def __init__(self, inputs: int, channels: int, w_dim: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.scale = 1 / sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        h = modulated(x, self.weight, self.affine(w) * self.scale, demodulate=False)
        return h + self.bias.to(h.dtype)[:, None, None]


class StyleGAN2Generator(nn.Module):
    """[N, latent_dim] and, of a class-conditional one, labels [N] -> [N, *shape]: g(f(z)) with skips (figure 7: output skips).

    g begins with a learned constant at 4x4 and has two layers at each size (one at 4x4), whose image is added to that of the
    size before. The image is linear, without tanh: it leaves [-1, 1] a little in training, and is clamped in evaluation mode.

    Args:
        classes: number of them, or None.
        w_dim: size of w.
        mapping_layers: of f; 8 in the paper, 2 in ADA's settings for small data and for CIFAR-10.
        channel_base, channel_max: maps of side s have channel_base / s channels, but no more than channel_max.
        mixing: probability that, in training, layers from one on, drawn for the batch, get the w of another z.
        mean_decay: of the moving average of w, one step a call in training mode.

    Raises:
        ValueError: a size that is not one of 8, 16 ... 1024.
    """

    mean_w: Tensor

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        *,
        classes: int | None = None,
        w_dim: int = 512,
        mapping_layers: int = 8,
        channel_base: int = 32768,
        channel_max: int = 512,
        mixing: float = 0.9,
        mean_decay: float = 0.995,
    ) -> None:
        super().__init__()
        size = square_size("StyleGAN2Generator", shape, SIZES)
        channels = widths(size, channel_base, channel_max)
        self.mapping = MappingNetwork(latent_dim, w_dim, layers=mapping_layers, classes=classes)
        self.constant = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        self.layers = nn.ModuleList([StyledLayer(channels[0], channels[0], w_dim, 4)])
        for i, (before, here) in enumerate(pairwise(channels), 3):
            self.layers.append(StyledLayer(before, here, w_dim, 2**i, up=True))
            self.layers.append(StyledLayer(here, here, w_dim, 2**i))
        self.images = nn.ModuleList(ToRGB(here, shape[0], w_dim) for here in channels)
        self.upsample = SmoothUpsampling()
        self.register_buffer("mean_w", torch.zeros(w_dim))
        self.styles, self.mixing, self.mean_decay = len(self.layers) + 1, mixing, mean_decay

    def forward(self, z: Tensor, *label: Tensor) -> Tensor:
        return self.synthesis(self.styles_for(z, *label))

    def styles_for(self, z: Tensor, *label: Tensor) -> Tensor:
        """Each layer's w: [N, latent_dim], [N] -> [N, styles, w_dim]. In training mode the mean of w moves, and styles mix."""
        w = self.mapping(z, *label)
        styles = w[:, None].expand(-1, self.styles, -1)
        if not self.training:
            return styles
        with torch.no_grad():
            self.mean_w.lerp_(w.mean(0), 1 - self.mean_decay)
        return self.mixed(styles, self.mapping(torch.randn_like(z), *label)) if self.mixing > 0 else styles

    def mixed(self, styles: Tensor, other: Tensor) -> Tensor:
        """Styles [N, styles, w_dim], from a drawn layer on, with the given probability, those of other w [N, w_dim]."""
        first = torch.randint(1, self.styles, (), device=styles.device)
        first = torch.where(torch.rand((), device=styles.device) < self.mixing, first, self.styles)
        own = torch.arange(self.styles, device=styles.device) < first
        return torch.where(own[:, None], styles, other[:, None])

    def synthesis(self, w: Tensor) -> Tensor:
        """g: each layer's w, [N, styles, w_dim] -> [N, *shape]. An image has the w of the next layer."""
        x = self.layers[0](self.constant.expand(len(w), -1, -1, -1), w[:, 0])
        image = self.images[0](x, w[:, 1])
        for i in range(1, len(self.images)):
            x = self.layers[2 * i - 1](x, w[:, 2 * i - 1])
            x = self.layers[2 * i](x, w[:, 2 * i])
            image = self.upsample(image.float()) + self.images[i](x, w[:, 2 * i + 1])
        return image.float() if self.training else image.float().clamp(-1, 1)


class Halving(nn.Module):
    """Two 3x3 convolutions, the latter smoothed and with a stride of 2: [N, inputs, H, W] -> [N, outputs, H / 2, W / 2].

    Args:
        residual: add the maps before them, halved by smoothing and a 1x1 convolution, and keep the variance.
    """

    def __init__(self, inputs: int, outputs: int, *, residual: bool) -> None:
        super().__init__()
        self.one = EqualisedConv2d(inputs, inputs, 3)
        self.two = EqualisedConv2d(inputs, outputs, 3, stride=2, padding=0)
        self.shortcut = (
            nn.Sequential(SmoothDownsampling(), EqualisedConv2d(inputs, outputs, 1, bias=False)) if residual else None
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.two(boxed(activated(self.one(x)), 3, padding=2))
        return activated(h) if self.shortcut is None else activated(h, gain=1) + sqrt(0.5) * self.shortcut(x)


class StyleGAN2Discriminator(nn.Module):
    """[N, *shape] and, of a class-conditional one, labels [N] -> logits [N].

    With classes, the last layer gives a vector as long as w, and the logit is its product with a w of the label (ADA's code).

    Args:
        classes, channel_base, channel_max: as the generator's.
        residual: whether blocks are residual; ADA's setting for CIFAR-10 has none that are.
        group: of the minibatch standard deviation.
        mapping_layers: of the label's w.

    Raises:
        ValueError: a size that is not one of 8, 16 ... 1024.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: int | None = None,
        channel_base: int = 32768,
        channel_max: int = 512,
        residual: bool = True,
        group: int = 4,
        mapping_layers: int = 8,
    ) -> None:
        super().__init__()
        size = square_size("StyleGAN2Discriminator", shape, SIZES)
        channels = widths(size, channel_base, channel_max)[::-1]
        last = channels[-1]
        self.mapping = MappingNetwork(0, last, layers=mapping_layers, classes=classes) if classes else None
        self.first = EqualisedConv2d(shape[0], channels[0], 1)
        self.blocks = nn.ModuleList(Halving(a, b, residual=residual) for a, b in pairwise(channels))
        self.spread = MinibatchStddev(group)
        self.convolution = EqualisedConv2d(last + 1, last, 3)
        self.dense = EqualisedLinear(last * 16, last)
        self.last = EqualisedLinear(last, last if classes else 1)

    def forward(self, x: Tensor, *label: Tensor) -> Tensor:
        out: Tensor = self.last(self.features(x)).float()
        if self.mapping is None:
            return out.squeeze(1)
        return (out * self.mapping(None, *label).float()).sum(1) / sqrt(out.shape[1])

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: [N, features]."""
        x = activated(self.first(x))
        for block in self.blocks:
            x = block(x)
        x = activated(self.convolution(self.spread(x)))
        return activated(self.dense(x.flatten(1)))

    @property
    def stages(self) -> list[list[nn.Module]]:
        """The first layer and each block, from the image on: what can be frozen."""
        return [[self.first], *([block] for block in self.blocks)]
