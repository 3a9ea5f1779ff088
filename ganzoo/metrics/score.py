"""What every score returns, and what it asks of the features that it is given."""

from typing import NamedTuple

import torch
from torch import Tensor


class Score(NamedTuple):
    """A measured value and its standard error; None where no cheap one can be trusted."""

    value: float
    error: float | None


def mean_score(values: Tensor) -> Score:
    """The mean of one value for each sample [N] and std / sqrt(N), which for indicators is sqrt(p (1 - p) / N).

    It covers the draw of these samples and nothing else that the values depend on.
    """
    values = values.double()
    return Score(values.mean().item(), (values.std(correction=0) / len(values) ** 0.5).item())


def check_features(**sets: Tensor) -> None:
    """Raise ValueError unless every set of features, or of logits, is [N, d], N > 0, with one d for all, and finite.

    NaN would pass most comparisons in silence: a diverged generator would get a plausible score.
    """
    for name, features in sets.items():
        if features.dim() != 2 or not features.numel():
            raise ValueError(f"{name} is {list(features.shape)}: give at least one sample, as [N, d]")
        if not torch.isfinite(features).all():
            raise ValueError(f"{name} holds NaN or infinity: look at the samples, the generator may have diverged")
    widths = {name: features.shape[1] for name, features in sets.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(f"features of different widths {widths}: extract all of them with the same network")
