"""Perceptual path length (Karras et al. 2018, https://arxiv.org/abs/1812.04948, section 4.1): how evenly images change.

A small step on the way between two points of the latent space changes the image by d, which is divided by the step squared.
The mean is over steps from the ways' ends, as StyleGAN2's authors measure it (`ppl2_wend`): not over the whole way, and
without cropping.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.metrics.features import Extractor
from ganzoo.metrics.score import Score, mean_score

EPSILON = 1e-4
CUT = 1  # percent of the values, the least and the largest, that are left out
LARGEST = 256  # pixels a side: larger images are averaged down
SETTINGS = {"inverse_epsilon": round(1 / EPSILON), "cut_percent": CUT}


def changes(extractor: Extractor, here: Tensor, there: Tensor) -> Tensor:
    """d / EPSILON^2 between images [N, C, H, W] in [-1, 1], not rounded to bytes: squared distances of features, [N]."""
    a, b = (extractor(seen(images))[0] for images in (here, there))
    return (a - b).double().square().sum(1) / EPSILON**2


def seen(images: Tensor) -> Tensor:
    """[-1, 1] -> [0, 255], of at most about LARGEST pixels a side."""
    factor = images.shape[-1] // LARGEST
    return (F.avg_pool2d(images, factor) if factor > 1 else images).add(1).mul(127.5)


def path_length(values: Tensor) -> Score:
    """The mean of the values [N] but for the least and the largest per cent."""
    values = values.double()
    low, high = (torch.quantile(values, q, interpolation=how) for q, how in [(CUT / 100, "lower"), (1 - CUT / 100, "higher")])
    return mean_score(values[(values >= low) & (values <= high)])
