"""Layers shared by several networks."""

from typing import Literal

from torch import nn

Norm = Literal["batch", "layer", "none"]


def normalisation(norm: Norm, channels: int) -> nn.Module:
    """Batch normalisation, layer normalisation over [C, H, W], or nothing: [N, C, H, W] -> the same."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(1, channels) if norm == "layer" else nn.Identity()


def square_size(network: str, shape: tuple[int, ...], allowed: list[int]) -> int:
    """The side of a square image.

    Raises:
        ValueError: the image is not square or the network cannot do its size; the nearest sizes are named.
    """
    if len(shape) != 3:
        raise ValueError(f"{network} makes images, not samples of shape {shape}: choose an MLP network for them")
    _, height, width = shape
    if height != width or height not in allowed:
        near = sorted(sorted(allowed, key=lambda size: abs(size - height))[:2])
        raise ValueError(f"{network} cannot do {height} x {width} images: set --data.size to {' or '.join(map(str, near))}")
    return height
