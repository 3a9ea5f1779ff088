"""Resampling: by nearest neighbours, and smoothly, by binomial filters, [1, 2, 1] / 4 and [1, 3, 3, 1] / 8, in both directions.

Each filter is a row of boxes of 2x2, because [1, 1] * [1, 1] = [1, 2, 1] and so on: pooling is differentiated any number of
times, where torch differentiates a convolution of each channel for itself by a loop over the channels. Zeros are around.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def enlarged(x: Tensor, doublings: int = 1) -> Tensor:
    """By nearest neighbours: [N, C, H, W] -> [N, C, H 2^doublings, W 2^doublings]."""
    if not doublings:
        return x
    # F.interpolate is traced as reading by index, whose gradient is summed in another order than uncompiled.
    n, c, h, w = x.shape
    times = 2**doublings
    x = x.permute(0, 2, 3, 1)[:, :, None, :, None].expand(n, h, times, w, times, c)
    return x.reshape(n, h * times, w * times, c).permute(0, 3, 1, 2)  # channels last


def boxed(x: Tensor, times: int, padding: int) -> Tensor:
    """Means of 2x2, so many times: [N, C, H, W] -> [N, C, H + 2 padding - times, W + 2 padding - times]."""
    x = F.pad(x, [padding] * 4)
    for _ in range(times):
        x = F.avg_pool2d(x, 2, stride=1)
    return x


def blurred(x: Tensor) -> Tensor:
    """By [1, 2, 1] / 4: [N, C, H, W] -> the same."""
    return boxed(x, 2, padding=1)


class SmoothUpsampling(nn.Module):
    """[N, C, H, W] -> [N, C, 2H, 2W], by [1, 3, 3, 1] / 4 over zeros put between: [1, 2, 1] / 4 over nearest neighbours."""

    def forward(self, x: Tensor) -> Tensor:
        return blurred(F.interpolate(x, scale_factor=2.0))


class SmoothDownsampling(nn.Module):
    """[N, C, H, W] -> [N, C, H / 2, W / 2], by [1, 3, 3, 1] / 8: [1, 2, 1] / 4, then the mean of 2x2."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(blurred(x), 2)
