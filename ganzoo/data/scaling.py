"""Columns of numbers scaled to [-1, 1], and back; and heavy tails made light, and back."""

from collections.abc import Sequence

import numpy as np
from scipy.special import lambertw

Numbers = Sequence[float] | np.ndarray  # one for each column


def scaled(values: np.ndarray, low: Numbers, high: Numbers) -> np.ndarray:
    """[..., columns] with low -> -1 and high -> 1, float32; a column that is constant becomes 0."""
    width = np.subtract(high, low)
    share = np.where(width > 0, (values - np.asarray(low)) / np.where(width > 0, width, 1), 0.5)
    return (2 * share - 1).astype(np.float32)


def unscaled(values: np.ndarray, low: Numbers, high: Numbers) -> np.ndarray:
    """What `scaled` undid: float64 [..., columns]."""
    return np.asarray(low) + (values.astype(np.float64) + 1) / 2 * np.subtract(high, low)


def lightened(values: np.ndarray, tails: Sequence[Numbers]) -> np.ndarray:
    """[..., columns] with light tails: z = (x - mean) / std becomes sign(z) sqrt(W(delta z^2) / delta), where W is
    Lambert's (Goerg 2015, arXiv:1010.2265).

    Args:
        tails: means, standard deviations and deltas of the columns.
    """
    mean, std, delta = np.asarray(tails, dtype=np.float64)
    z = (values - mean) / std
    some = np.maximum(delta, 1e-9)  # below that W(delta z^2) is delta z^2
    return np.sign(z) * np.sqrt(lambertw(some * z**2).real / some)


def heavy(values: np.ndarray, tails: Sequence[Numbers]) -> np.ndarray:
    """What `lightened` undid."""
    mean, std, delta = np.asarray(tails, dtype=np.float64)
    return mean + std * values * np.exp(delta / 2 * values**2)


def tails_of(values: np.ndarray) -> list[list[float]]:
    """Means, standard deviations and deltas of columns [N, columns]: the least delta without a kurtosis above the normal
    distribution's 3."""
    mean, std = values.mean(0), np.maximum(values.std(0), 1e-12)
    least, most = np.zeros(values.shape[1]), np.ones(values.shape[1])
    for _ in range(30):  # halving: to 1e-9
        middle = (least + most) / 2
        light = lightened(values, [mean, std, middle])
        still = kurtosis(light) > 3
        least, most = np.where(still, middle, least), np.where(still, most, middle)
    return [mean.tolist(), std.tolist(), most.tolist()]


def kurtosis(values: np.ndarray) -> np.ndarray:
    """[N, columns] -> [columns]."""
    centred = values - values.mean(0)
    return (centred**4).mean(0) / np.maximum((centred**2).mean(0), 1e-24) ** 2
