"""SRGAN's networks: SRResNet, and the discriminator (Ledig et al. 2017, https://arxiv.org/abs/1609.04802, figure 4)."""

from math import ceil, log2

import torch.nn.functional as F
from torch import Tensor, nn


class SRResNet(nn.Module):
    """Residual blocks of the small image's size, then sub-pixel convolutions: [N, C, h, w] -> float32 [N, C, scale h, scale w].

    Its last layer is linear: what leaves [-1, 1] is clipped by whoever shows it.

    Args:
        shape: (C, H, W) of the large images; only C matters.
        scale: 2, 4 or 8 (as many sub-pixel convolutions of 2), or 3.
        width: channels.
        blocks: residual ones.

    Attributes:
        reach: pixels of the small image, to each side, that one of its pixels has a say in.

    Raises:
        ValueError: another scale.
    """

    def __init__(self, shape: tuple[int, ...], scale: int = 4, *, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        channels = shape[0]
        self.reach = reach(scale, first=4, within=2 * blocks + 1, last=4)
        self.first = nn.Sequential(nn.Conv2d(channels, width, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*(SRResNetBlock(width) for _ in range(blocks)))
        self.after = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.up = nn.Sequential(*(SubPixel(width, factor) for factor in factors(scale)))
        self.last = nn.Conv2d(width, channels, 9, padding=4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)  # [N, width, h, w]
        return self.last(self.up(h + self.after(self.blocks(h)))).float()


class SRResNetBlock(nn.Module):
    """x + B(C(p(B(C(x))))), p being one learnt slope: [N, C, H, W] -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.PReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class SubPixel(nn.Sequential):
    """A convolution whose channels become pixels (arXiv:1609.05158): [N, C, H, W] -> [N, C, factor H, factor W]."""

    def __init__(self, width: int, factor: int) -> None:
        super().__init__(nn.Conv2d(width, factor**2 * width, 3, padding=1), nn.PixelShuffle(factor), nn.PReLU())


class SRGANDiscriminator(nn.Module):
    """Eight convolutions, each second of which halves the image, and two linear layers: [N, C, H, W] -> logits [N].

    Images of another size than it was made for, whole held-out ones, are averaged to its grid before the linear layers.

    Args:
        shape: (C, H, W): multiples of 16 for H and W.
        width: channels of the first layer.

    Raises:
        ValueError: samples that are not images, or sides below 16.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 64) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape[1:]) < 16:
            raise ValueError(f"SRGANDiscriminator halves images four times: 16 pixels a side at least, not {tuple(shape)}")
        channels, height, width_of_image = shape
        self.grid = height // 16, width_of_image // 16
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
        plan = [(factor, stride) for factor in (1, 2, 4, 8) for stride in (1, 2)][1:]
        before = width
        for factor, stride in plan:
            layers += [nn.Conv2d(before, factor * width, 3, stride, 1, bias=False), nn.BatchNorm2d(factor * width)]
            layers.append(nn.LeakyReLU(0.2))
            before = factor * width
        self.layers = nn.Sequential(*layers)
        self.hidden = nn.Sequential(nn.Linear(8 * width * self.grid[0] * self.grid[1], 16 * width), nn.LeakyReLU(0.2))
        self.last = nn.Linear(16 * width, 1)

    def features(self, x: Tensor) -> Tensor:
        """[N, 16 width], of the last hidden layer."""
        h = self.layers(x)
        return self.hidden((h if h.shape[-2:] == self.grid else F.adaptive_avg_pool2d(h, self.grid)).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x)).squeeze(1).float()


def reach(scale: int, first: int, within: int, last: int) -> int:
    """Pixels of the small image to each side, rounded up, that one depends on: layers' reaches before, within and behind the
    sub-pixel convolutions, each of which reaches one pixel before it enlarges."""
    pixels, size = float(first + within), 1
    for factor in factors(scale):
        pixels += 1 / size
        size *= factor
    return ceil(pixels + last / size)


def factors(scale: int) -> list[int]:
    """By which an image is enlarged, one after another.

    Raises:
        ValueError: neither 3 nor a power of two.
    """
    if scale == 3:
        return [3]
    if scale not in (2, 4, 8):
        raise ValueError(f"scale is 2, 3, 4 or 8, not {scale}")
    return [2] * int(log2(scale))
