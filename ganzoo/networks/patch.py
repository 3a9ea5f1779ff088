"""PatchGAN: a discriminator with a logit for each patch of an image (https://arxiv.org/abs/1611.07004, section 3.2.2)."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

MapNorm = Literal["batch", "instance", "none"]


def normalised_maps(norm: MapNorm, channels: int, affine: bool = True) -> nn.Module:
    """By the batch's statistics, by each image's own, or not at all: [N, C, H, W] -> the same."""
    if norm == "none":
        return nn.Identity()
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.InstanceNorm2d(channels, affine=affine)


def has_bias(norm: MapNorm, affine: bool = True) -> bool:
    """Whether a convolution before the normalisation has biases, as in the authors' code: where the norm has none."""
    return norm == "none" or (norm == "instance" and not affine)


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02), normalisation's gains from N(1, 0.02), biases 0, as in the authors' code."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)


class PatchDiscriminator(nn.Module):
    """Strided convolutions, then two that only widen the view: [N, *shape] -> logits [N, h, w], float32.

    Each logit sees a patch of 70 x 70 pixels with three halvings, of 34 with two, of 16 with one.

    Args:
        width: channels of the largest map.
        halvings: at most; images below 32 have fewer, so that two logits a side are left.
        norm: of the maps. By each image's own statistics is what batches of one, the paper's, are normalised by.
        affine: whether an image's own normalisation learns a gain and a bias; CycleGAN's does not.

    Raises:
        ValueError: samples that are not images, or sides below 8.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 64,
        halvings: int = 3,
        norm: MapNorm = "instance",
        affine: bool = True,
    ) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape[1:]) < 8:
            raise ValueError(f"PatchDiscriminator judges images of 8 x 8 and more, not samples of shape {tuple(shape)}")
        halvings = max(1, min(halvings, min(shape[1:]).bit_length() - 3))
        channels = [width * min(2**i, 8) for i in range(halvings + 1)]
        bias = has_bias(norm, affine)
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for i, (before, after) in enumerate(pairwise(channels), 1):
            layers.append(nn.Conv2d(before, after, 4, 2 if i < halvings else 1, 1, bias=bias))
            layers += [normalised_maps(norm, after, affine), nn.LeakyReLU(0.2, True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4, 1, 1))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).float().squeeze(1)


def means(logits: Tensor) -> Tensor:
    """Over each image's patches, or of its one logit: [N, ...] -> [N]."""
    return logits.reshape(len(logits), -1).mean(1)


def side_by_side(*images: Tensor) -> Tensor:
    """What a discriminator of pairs sees: [N, C, H, W] each -> [N, sum of C, H, W]."""
    return torch.cat(images, dim=1)
