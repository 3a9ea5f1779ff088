"""Resampling and filtering by orthogonal wavelets, as matrices along one side of an image: any derivative is a matrix product.

Beyond its edges an image goes on as its own reflection, without end. Taps are those of the symlets (Daubechies 1992).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SYM2 = [-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025]
SYM6 = [
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466),
    *(0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578),
    *(0.0017677118642428036, -0.007800708325034148),
]
LEAD = 5  # taps before the one that stands on a pixel: sym6's centre of mass is there, to a tenth of a tap. As many samples
# stand before an image's first pixel, and as many after the one beside its last.


def folded(place: Any, side: int) -> Any:
    """The place 0 .. side - 1, whole or not, at which an image shows what its reflections show at any place."""
    last = side - 1
    return last - abs(place % (2 * last) - last)


def upsampling(side: int) -> Tensor:
    """From pixels to twice as many samples, number 2 n on pixel n, through sym6: float64 [2 side + 10, side], because the
    first is number -5."""
    matrix = torch.zeros(2 * side + 2 * LEAD, side, dtype=torch.float64)
    for i in range(2 * side + 2 * LEAD):
        for j, tap in enumerate(SYM6):
            pixel, between = divmod(i - j, 2)
            if not between:
                matrix[i, folded(pixel, side)] += 2**0.5 * tap
    return matrix


def downsampling(side: int) -> Tensor:
    """From these samples back to pixels: float64 [side, 2 side + 10]. It undoes upsampling, because sym6 is orthogonal to
    itself shifted by two."""
    matrix = torch.zeros(side, 2 * side + 2 * LEAD, dtype=torch.float64)
    for pixel in range(side):
        matrix[pixel, 2 * pixel : 2 * pixel + len(SYM6)] = torch.tensor(SYM6, dtype=torch.float64) / 2**0.5
    return matrix


def convolved(one: Tensor, other: Tensor) -> Tensor:
    return F.conv1d(one[None, None], other.flip(0)[None, None], padding=len(other) - 1)[0, 0]


def bank() -> Tensor:
    """Four filters, an octave each and the lowest one all below, whose sum is the identity: float64 [4, 43]."""
    low = torch.tensor(SYM2, dtype=torch.float64)  # H(z)
    high = low * torch.tensor([1.0, -1.0, 1.0, -1.0])  # H(-z)
    low, high = (convolved(taps, taps.flip(0)) / 2 for taps in (low, high))  # H(z) H(1/z) / 2
    bands = torch.eye(4, 1, dtype=torch.float64)
    for i in range(1, 4):  # what is below is split once more, at half the rate
        spread = torch.zeros(4, 2 * bands.shape[1] - 1, dtype=torch.float64)
        spread[:, ::2] = bands
        bands = torch.stack([convolved(band, low) for band in spread])
        middle = bands.shape[1] // 2
        bands[i, middle - 3 : middle + 4] += high
    return bands


def band_filters(side: int) -> Tensor:
    """The bank's filters along one side: float64 [4, side, side]."""
    bands = bank()
    half = bands.shape[1] // 2
    matrix = torch.zeros(4, side, side, dtype=torch.float64)
    for pixel in range(side):
        for j in range(-half, half + 1):
            matrix[:, pixel, folded(pixel + j, side)] += bands[:, half + j]
    return matrix


# Torch cannot differentiate grid_sample twice. For a fixed grid it is linear in x, and so is its adjoint: each is the other's
# gradient. A compiled move takes both operators as they are.


@torch.library.custom_op("ganzoo::sampled", mutates_args=())
def sampled(x: Tensor, grid: Tensor) -> Tensor:
    """x [N, C, H, W] at the places of a grid [N, h, w, 2], bilinear, (-1, -1) being the first pixel's middle: [N, C, h, w]."""
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)


@sampled.register_fake
def _(x: Tensor, grid: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:2], *grid.shape[1:3])


@torch.library.custom_op("ganzoo::scattered", mutates_args=())
def scattered(y: Tensor, grid: Tensor, height: int, width: int) -> Tensor:
    """The adjoint: [N, C, h, w] -> [N, C, H, W]."""
    x = y.new_zeros(*y.shape[:2], height, width)
    bilinear, border = 0, 1
    return torch.ops.aten.grid_sampler_2d_backward(y, x, grid, bilinear, border, True, [True, False])[0]


@scattered.register_fake
def _(y: Tensor, grid: Tensor, height: int, width: int) -> Tensor:
    return y.new_empty(*y.shape[:2], height, width)


def remember_size(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    x, grid = inputs
    ctx.size = x.shape[2:]
    ctx.save_for_backward(grid)


def remember(ctx: Any, inputs: tuple[Tensor, Tensor, int, int], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def gradient_of_sampled(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    (grid,) = ctx.saved_tensors
    return scattered(gradient.contiguous(), grid, *ctx.size), None


def gradient_of_scattered(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
    (grid,) = ctx.saved_tensors
    return sampled(gradient, grid), None, None, None


sampled.register_autograd(gradient_of_sampled, setup_context=remember_size)
scattered.register_autograd(gradient_of_scattered, setup_context=remember)
