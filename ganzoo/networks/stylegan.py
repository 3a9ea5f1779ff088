"""The networks of StyleGAN (https://arxiv.org/abs/1812.04948, section 2, appendices B and C, and the authors' code)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.networks.equalised import SLOPE, EqualisedConv2d, EqualisedLinear, pixel_norm
from ganzoo.networks.filters import blurred
from ganzoo.networks.layers import precise
from ganzoo.networks.progressive import GAIN, GrowingGenerator, HalvingBlock, ProGANDiscriminator, doubled


def adaptive_instance_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """scale (x - mean(x)) / std(x) + shift (1812.04948, eq. 1), each map by itself: [N, C, H, W], [N, C], [N, C]."""
    h = precise(x)
    h = h - h.mean((2, 3), keepdim=True)
    h = h * (h.square().mean((2, 3), keepdim=True) + 1e-8).rsqrt()
    return torch.addcmul(shift[:, :, None, None].to(h.dtype), h, scale[:, :, None, None].to(h.dtype)).to(x.dtype)


class StyleMapping(nn.Module):
    """f: z, put on the hypersphere, through linear layers with leaky ReLU: [N, latent_dim] -> w [N, w_dim].

    Args:
        layers: how many.
        rate: factor on their learning rate.
    """

    def __init__(self, latent_dim: int, w_dim: int, *, layers: int = 8, rate: float = 0.01) -> None:
        super().__init__()
        inputs = [latent_dim] + [w_dim] * (layers - 1)
        self.layers = nn.ModuleList(EqualisedLinear(n, w_dim, gain=GAIN, rate=rate) for n in inputs)

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):  # w is worth float32
            w = pixel_norm(z)
            for layer in self.layers:
                w = F.leaky_relu(layer(w), SLOPE)
            return w


class Styling(nn.Module):
    """What follows each of g's layers: noise, bias, leaky ReLU, and AdaIN by A(w), which are a scale less 1 and a shift.

    [N, channels, size, size], [N, w_dim] -> the same maps. In training the noise is new, in evaluation always the same for all
    samples, so that an image is a function of w.
    """

    noise: Tensor

    def __init__(self, channels: int, size: int, w_dim: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(channels))  # B: of the noise, for each channel
        self.bias = nn.Parameter(torch.zeros(channels))
        self.style = EqualisedLinear(w_dim, 2 * channels)  # A
        self.register_buffer("noise", torch.randn(1, 1, size, size))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        noise = torch.randn(len(x), 1, *x.shape[2:], device=x.device) if self.training else self.noise
        x = x + (self.strength[:, None, None] * noise + self.bias[:, None, None]).to(x.dtype)
        scale, shift = self.style(w).chunk(2, dim=1)
        return adaptive_instance_norm(F.leaky_relu(x, SLOPE), scale + 1, shift)


class StyleBlock(nn.Module):
    """A level of g: maps doubled, convolved and blurred, convolved again; each time styled by a w of its own.

    [N, inputs, size / 2, size / 2], w [N, 2, w_dim] -> [N, outputs, size, size].
    """

    def __init__(self, inputs: int, outputs: int, size: int, w_dim: int) -> None:
        super().__init__()
        self.one = EqualisedConv2d(inputs, outputs, 3, bias=False, gain=GAIN)
        self.two = EqualisedConv2d(outputs, outputs, 3, bias=False, gain=GAIN)
        self.styling = nn.ModuleList(Styling(outputs, size, w_dim) for _ in range(2))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = self.styling[0](blurred(doubled(x, self.one)), w[:, 0])
        return self.styling[1](self.two(x), w[:, 1])


class ConstantBlock(nn.Module):
    """The lowest level: a learned 4x4 map for each channel and one convolution, likewise styled: w [N, 2, w_dim] -> maps."""

    def __init__(self, channels: int, w_dim: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.ones(1, channels, 4, 4))
        self.two = EqualisedConv2d(channels, channels, 3, bias=False, gain=GAIN)
        self.styling = nn.ModuleList(Styling(channels, 4, w_dim) for _ in range(2))

    def forward(self, w: Tensor) -> Tensor:
        x = self.styling[0](self.constant.expand(len(w), -1, -1, -1), w[:, 0])
        return self.styling[1](self.two(x), w[:, 1])


class StyleGANGenerator(GrowingGenerator):
    """g(f(z)), [N, latent_dim] -> [N, *shape]. In training mode it mixes styles and follows the mean of w.

    Args:
        width: channels of the maps up to 32x32, halved with each doubling from there, and of w.
        layers: of f.
        mixing: probability that all samples of a pass take the w of other noise from some layer, drawn uniformly, on.
        mean_decay: of the moving average of w, a step each pass.

    Raises:
        ValueError: a size that is not one of 8, 16, ..., 1024.
    """

    mean_w: Tensor

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        *,
        width: int = 512,
        layers: int = 8,
        mixing: float = 0.9,
        mean_decay: float = 0.995,
    ) -> None:
        super().__init__(shape, width)
        self.mixing, self.mean_decay = mixing, mean_decay
        self.styles = 2 * self.levels
        self.mapping = StyleMapping(latent_dim, width, layers=layers)
        self.constant = ConstantBlock(width, width)
        self.blocks = nn.ModuleList(
            StyleBlock(self.channels[i - 1], self.channels[i], 4 << i, width) for i in range(1, self.levels)
        )
        self.register_buffer("mean_w", torch.zeros(width))

    def forward(self, z: Tensor) -> Tensor:
        w = self.mapping(z)
        styles = w[:, None].expand(-1, self.styles, -1)
        if self.training:
            with torch.no_grad():
                self.mean_w.lerp_(w.mean(0), 1 - self.mean_decay)
            styles = self.mixed(styles, self.mapping(torch.randn_like(z)))
        return self.synthesis(styles)

    def mixed(self, styles: Tensor, other: Tensor) -> Tensor:
        """Mixing regularisation (section 3.1): [N, styles, w_dim], [N, w_dim] -> [N, styles, w_dim]."""
        device = styles.device
        playing = 2 * (self.level + 1)
        crossover = torch.randint(1, playing, (), device=device)
        crossover = torch.where(torch.rand((), device=device) < self.mixing, crossover, playing)
        own = torch.arange(self.styles, device=device) < crossover
        return torch.where(own[:, None], styles, other[:, None])

    def synthesis(self, w: Tensor) -> Tensor:
        """g: [N, styles, w_dim] -> [N, *shape]; layers that do not play yet leave their w aside."""
        before = x = self.constant(w[:, :2])
        for level in range(1, self.level + 1):
            before, x = x, self.blocks[level - 1](x, w[:, 2 * level : 2 * level + 2])
        return self.image(before, x)


class SmoothHalvingBlock(HalvingBlock):
    """Blurred before halved."""

    def filtered(self, x: Tensor) -> Tensor:
        return blurred(x)


class StyleGANDiscriminator(ProGANDiscriminator):
    """ProGAN's, with maps blurred before they are halved: [N, *shape] -> logits [N]."""

    block = SmoothHalvingBlock
