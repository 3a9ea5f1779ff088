"""How near an image is to the true one, as papers on super-resolution measure it: PSNR and SSIM of luma, borders left out.

Images are [N, 1 or 3, H, W] in [-1, 1] and are rounded to 8 bits first, as they would be in a file. Each measure is of each
image: [N], in float64 where the device has it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (65.481, 128.553, 24.966)  # of red, green and blue in [0, 1]: ITU-R BT.601, which leaves 16 .. 235 of 8 bits to it
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03  # of SSIM: Wang et al. 2004, sections III.B and C
PEAK = 255.0


def luma(images: Tensor) -> Tensor:
    """Y as MATLAB's rgb2ycbcr gives it, but not rounded: [N, 1, H, W] of 16 to 235; grey images' own, 0 to 255."""
    precise = torch.float32 if images.device.type == "mps" else torch.float64
    levels = images.to(precise).add(1).mul(127.5).round().clamp(0, PEAK)
    if images.shape[1] == 1:
        return levels
    weights = torch.tensor(LUMA, dtype=precise, device=images.device)
    return 16 + torch.einsum("nchw,c->nhw", levels / PEAK, weights)[:, None]


def psnr(image: Tensor, truth: Tensor, border: int = 0) -> Tensor:
    """10 log10(255^2 / mean squared error), dB; infinite where there is no error.

    Args:
        border: pixels at each edge that do not count: the scale, by custom.
    """
    error = cropped(luma(image), border) - cropped(luma(truth), border)
    return 10 * (PEAK**2 / error.square().mean((1, 2, 3))).log10()


def ssim(image: Tensor, truth: Tensor, border: int = 0) -> Tensor:
    """Mean structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004, eq. 13), where the whole Gaussian window fits.

    Raises:
        ValueError: less than 11 pixels a side within the border.
    """
    x, y = cropped(luma(image), border), cropped(luma(truth), border)  # [N, 1, H, W]
    if min(x.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs {WINDOW} pixels a side within the border, not {x.shape[-1]} x {x.shape[-2]}")
    mean_x, mean_y, xx, yy, xy = (smoothed(part) for part in (x, y, x * x, y * y, x * y))
    variances, covariance = xx + yy - mean_x.square() - mean_y.square(), xy - mean_x * mean_y
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    similar = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (similar / ((mean_x.square() + mean_y.square() + c1) * (variances + c2))).mean((1, 2, 3))


def smoothed(x: Tensor) -> Tensor:
    """By SSIM's Gaussian window, inside: [N, 1, H, W] -> [N, 1, H - 10, W - 10]."""
    at = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    line = (-at.square() / (2 * SIGMA**2)).exp()
    line = line / line.sum()
    return F.conv2d(F.conv2d(x, line[None, None, :, None]), line[None, None, None])


def cropped(images: Tensor, border: int) -> Tensor:
    """Without `border` pixels at each edge.

    Raises:
        ValueError: nothing is left.
    """
    height, width = images.shape[-2:]
    if min(height, width) <= 2 * border:
        raise ValueError(f"a border of {border} pixels leaves nothing of an image of {width} x {height}")
    return images[..., border : height - border, border : width - border]
