"""Columns of numbers scaled to [-1, 1], and back."""

from collections.abc import Sequence

import numpy as np


def scaled(values: np.ndarray, low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """[..., columns] with low -> -1 and high -> 1, float32; a column that is constant becomes 0."""
    width = np.subtract(high, low)
    share = np.where(width > 0, (values - np.asarray(low)) / np.where(width > 0, width, 1), 0.5)
    return (2 * share - 1).astype(np.float32)


def unscaled(values: np.ndarray, low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """What `scaled` undid: float64 [..., columns]."""
    return np.asarray(low) + (values.astype(np.float64) + 1) / 2 * np.subtract(high, low)
