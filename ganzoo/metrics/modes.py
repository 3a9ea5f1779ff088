"""Modes found by samples of a mixture of Gaussians."""

import torch
from torch import Tensor


def modes(samples: Tensor, centres: Tensor, std: float | Tensor, weights: Tensor | None = None) -> tuple[int, float, list[int]]:
    """Modes found, share of samples on a mode (of high quality), and samples on each: points [N, D], centres [K, D].

    A sample lies on its nearest mode if it is within three standard deviations of its centre, as in Metz et al. 2016
    (https://arxiv.org/abs/1611.02163); a mode is found if at least a tenth of its fair share of the samples lies on it.

    Args:
        std: of all modes, or of each [K].
        weights: of each mode, [K] of sum 1; None for equal ones.

    All tensors are on one device.
    """
    share = centres.new_full((len(centres),), 1 / len(centres)) if weights is None else weights
    distance, nearest = torch.cdist(samples, centres).min(1)  # [N]
    reach = 3 * torch.as_tensor(std, device=centres.device).expand(len(centres))  # [K]
    on = nearest[distance <= reach[nearest]].bincount(minlength=len(centres))
    found = int((on >= 0.1 * len(samples) * share).sum())
    return found, on.sum().item() / len(samples), on.tolist()
