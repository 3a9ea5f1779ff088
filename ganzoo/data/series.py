"""Time series: samples are windows [length, features], float32 in [-1, 1], and know their own units."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganzoo.data.base import DataModule, at_least
from ganzoo.data.stream import Samples


class Series(DataModule):
    """Base of all time series. A subclass sets `shape`, (length, features), and no later than in `splits()` `columns`, their
    names, and `low` and `high`, the values that have become -1 and 1."""

    kind = "series"
    columns: Sequence[str]
    low: Sequence[float]
    high: Sequence[float]

    def units(self) -> dict[str, Any]:
        bounds = {"low": [float(x) for x in self.low], "high": [float(x) for x in self.high]}
        return {"kind": "series", "columns": list(self.columns)} | bounds


class Sines(Series):
    """Independent sines of random frequency and phase: the TimeGAN paper's (Yoon et al. 2019), as its code makes them.

    x_i(t) = sin(f_i t + p_i) with f and p uniform in 0 .. 0.1: within [-1, 1], so they are not scaled. Drawn with seed 0,
    whatever the seed of the run; the held-out series are the next ones.

    Args:
        length: steps of a series.
        features: sines of a series.
        samples: series in each of the two splits.

    Raises:
        ValueError: length, features or samples below 1.
    """

    def __init__(
        self, *, length: int = 24, features: int = 5, samples: int = 10_000, batch_size: int = 128, **loading: Any
    ) -> None:
        super().__init__(batch_size=batch_size, **loading)
        at_least(1, length=length, features=features, samples=samples)
        self.shape = (length, features)
        self.samples = samples
        self.columns = [f"sine_{i}" for i in range(features)]
        self.low, self.high = [-1.0] * features, [1.0] * features

    def splits(self) -> tuple[Samples, Samples]:
        rng = np.random.default_rng(0)
        return self.draw(rng), self.draw(rng)

    def draw(self, rng: np.random.Generator) -> Samples:
        length, features = self.shape
        frequency, phase = rng.uniform(0, 0.1, (2, self.samples, 1, features))
        return Samples(np.sin(frequency * np.arange(length)[:, None] + phase).astype(np.float32))
