"""CycleGAN's generator (https://arxiv.org/abs/1703.10593, appendix 7.2): fewer pixels, residual blocks, then all pixels."""

import torch
from torch import Tensor, nn

from ganzoo.networks.patch import initialise


class ReflectedBlock(nn.Module):
    """x + f(x), f: two 3x3 convolutions around which the map is mirrored, each normalised: [N, C, H, W] -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels), nn.ReLU(True)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class TranslationResNet(nn.Module):
    """[N, C, H, W] -> the same in [-1, 1], float32, of any sides that are multiples of 4 (`multiple`).

    Args:
        shape: of the images that it is made for.
        width: channels of the largest map.
        blocks: residual blocks; None: the paper's 9 for images of 256 and more a side, 6 for smaller ones.

    Raises:
        ValueError: samples that are not images, or sides that are no multiples of 4 or below 8.
    """

    multiple = 4

    def __init__(self, shape: tuple[int, ...], *, width: int = 64, blocks: int | None = None) -> None:
        super().__init__()
        if len(shape) != 3 or any(side % 4 or side < 8 for side in shape[1:]):
            raise ValueError(f"TranslationResNet makes images whose sides are multiples of 4, from 8, not {tuple(shape)}")
        if blocks is None:
            blocks = 9 if min(shape[1:]) >= 256 else 6
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), *ending_normalised(nn.Conv2d(shape[0], width, 7))]
        for here in (width, 2 * width):
            layers += ending_normalised(nn.Conv2d(here, 2 * here, 3, 2, 1))
        layers += [ReflectedBlock(4 * width) for _ in range(blocks)]
        for here in (4 * width, 2 * width):
            layers += ending_normalised(nn.ConvTranspose2d(here, here // 2, 3, 2, 1, output_padding=1))
        self.layers = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, shape[0], 7))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layers(x).float())


def ending_normalised(layer: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    """The layer, its maps each normalised by their own statistics, and ReLU."""
    return [layer, nn.InstanceNorm2d(layer.out_channels), nn.ReLU(True)]
