"""Bicubic resizing as MATLAB's imresize does it, by which papers on super-resolution make their small images.

The kernel is Keys's with a = -1/2, stretched where images shrink (antialiasing): torch's antialiased one. But beyond the edge
MATLAB sees its pixels repeated, where torch sees nothing; and of 8-bit images it rounds twice, after rows and after columns.
(So it did when Set5's and Set14's small images were made, which are these bit for bit; later versions mirror the image there.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 2  # pixels of the smaller image, to each side, that one pixel depends on


def shrunk(images: Tensor, factor: int) -> Tensor:
    """uint8 [N, C, H, W] -> uint8 [N, C, H / factor, W / factor].

    Raises:
        ValueError: sides that are no multiples of the factor.
    """
    height, width = images.shape[-2:]
    if height % factor or width % factor:
        raise ValueError(f"{width} x {height} pixels cannot be shrunk {factor} times: crop the sides to multiples first")
    rows = eight_bit(resized(images, -2, height // factor))
    return eight_bit(resized(rows, -1, width // factor)).to(torch.uint8)


def enlarged(images: Tensor, factor: int) -> Tensor:
    """[N, C, H, W] of any range -> float32 [N, C, factor H, factor W]; overshoots are left in."""
    height, width = images.shape[-2:]
    return resized(resized(images, -2, height * factor), -1, width * factor)


def resized(images: Tensor, dim: int, size: int) -> Tensor:
    """Along one dimension, -2 or -1, to `size`, a multiple or a whole fraction of what it is; float32."""
    n = images.shape[dim]
    border = REACH * max(1, n // size)
    at = torch.arange(-border, n + border, device=images.device).clamp(0, n - 1)
    framed = images.float().index_select(dim, at)
    extra = border * size // n  # pixels of the result that the border becomes
    shape = [*framed.shape[-2:]]
    shape[dim] = size + 2 * extra
    with torch.autocast(images.device.type, enabled=False):
        return F.interpolate(framed, size=shape, mode="bicubic", antialias=True).narrow(dim, extra, size)


def eight_bit(images: Tensor) -> Tensor:
    """Rounded as MATLAB rounds, halves upwards, and clipped."""
    return (images + 0.5).floor().clamp(0, 255)


def mirrored(images: Tensor, border: int) -> Tensor:
    """Continued beyond the edges, whose pixels are repeated first: [..., H, W] -> [..., H + 2 border, W + 2 border]."""
    for dim in (-2, -1):
        n = images.shape[dim]
        at = torch.arange(-border, n + border, device=images.device) % (2 * n)
        images = images.index_select(dim, torch.minimum(at, 2 * n - 1 - at))
    return images
