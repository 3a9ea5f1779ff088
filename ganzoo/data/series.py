"""Time series: samples are windows [length, features], float32 in [-1, 1], and know their own units."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganzoo.data.base import DataModule, at_least
from ganzoo.data.scaling import heavy, lightened, scaled, tails_of, unscaled
from ganzoo.data.stream import Samples


class Series(DataModule):
    """Base of all time series. A subclass sets `shape`, (length, features), and no later than in `splits()` `columns`, their
    names, and `low` and `high`, the values that have become -1 and 1, which `learn_scale` finds."""

    kind = "series"
    columns: Sequence[str]
    low: Sequence[float]
    high: Sequence[float]
    tails: Sequence[Sequence[float]] | None = None  # of values whose heavy tails were made light before

    def units(self) -> dict[str, Any]:
        bounds = {"low": [float(x) for x in self.low], "high": [float(x) for x in self.high]}
        return {"kind": self.kind, "columns": list(self.columns), "tails": self.tails} | bounds

    def learn_scale(self, values: np.ndarray, heavy_tails: bool) -> None:
        """Of values [N, features] that train."""
        self.tails = tails_of(values) if heavy_tails else None
        light = values if self.tails is None else lightened(values, self.tails)
        self.low, self.high = light.min(0).tolist(), light.max(0).tolist()

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Values in their own units, [..., features], as samples have them."""
        return scaled_by(values, self.units())


def scaled_by(values: np.ndarray, units: dict[str, Any]) -> np.ndarray:
    """Values [..., features] in the units that `Series.units` describe, as samples have them: float32."""
    light = values if units.get("tails") is None else lightened(values, units["tails"])
    return scaled(light, units["low"], units["high"])


def of_units(samples: np.ndarray, units: dict[str, Any]) -> np.ndarray:
    """What `scaled_by` undid: float64."""
    values = unscaled(samples, units["low"], units["high"])
    return values if units.get("tails") is None else heavy(values, units["tails"])


class Sines(Series):
    """Independent sines of random frequency and phase: the TimeGAN paper's (Yoon et al. 2019), as its code makes them.

    x_i(t) = sin(f_i t + p_i) with f and p uniform in 0 .. 0.1: within [-1, 1], so they are not scaled. Drawn with seed 0,
    whatever the seed of the run; the held-out series are the next ones.

    Args:
        length: steps of a series.
        features: sines of a series.
        samples: series in each of the two splits.

    Raises:
        ValueError: length below 2, features or samples below 1.
    """

    def __init__(
        self, *, length: int = 24, features: int = 5, samples: int = 10_000, batch_size: int = 128, **loading: Any
    ) -> None:
        super().__init__(batch_size=batch_size, **loading)
        at_least(2, length=length)
        at_least(1, features=features, samples=samples)
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


class Returns(Series):
    """Simulated daily log-returns in percent, with what is known of stocks: heavy tails, volatility in clusters, and more of it
    after losses than gains.

    r_t = sigma_t e_t, sigma_t^2 = w + (a + g [r_t-1 < 0]) r_t-1^2 + b sigma_t-1^2 (Glosten, Jagannathan, Runkle 1993); e has
    Student's t distribution of 6 degrees of freedom, scaled to a variance of 1; a = 0.03, g = 0.1, b = 0.89; sigma^2 is 1 on
    average. Drawn with seed 0, whatever the seed of the run; the held-out series are the next ones.

    Args:
        length: days of a series.
        samples: series in each of the two splits.
        heavy_tails: tails are made light before the game, and heavy again in tables and where facts are measured.

    Raises:
        ValueError: length below 2, or samples below 1.
    """

    columns = ("return",)

    def __init__(
        self, *, length: int = 127, samples: int = 10_000, heavy_tails: bool = True, batch_size: int = 128, **loading: Any
    ) -> None:
        super().__init__(batch_size=batch_size, **loading)
        at_least(2, length=length)
        at_least(1, samples=samples)
        self.shape = (length, 1)
        self.samples, self.heavy_tails = samples, heavy_tails

    def splits(self) -> tuple[Samples, Samples]:
        rng = np.random.default_rng(0)
        training, others = (simulated(rng, self.samples, self.shape[0])[:, :, None] for _ in range(2))
        self.learn_scale(training.reshape(-1, 1), self.heavy_tails)
        return Samples(self.scaled(training)), Samples(self.scaled(others))


def simulated(rng: np.random.Generator, paths: int, length: int) -> np.ndarray:
    """`Returns`, [paths, length], after 200 steps that are forgotten."""
    arch, asymmetry, garch, degrees = 0.03, 0.1, 0.89, 6
    variance = np.ones(paths)
    returns = np.empty((200 + length, paths))
    for step in range(len(returns)):
        returns[step] = np.sqrt(variance) * rng.standard_t(degrees, paths) * np.sqrt((degrees - 2) / degrees)
        shock = (arch + asymmetry * (returns[step] < 0)) * returns[step] ** 2
        variance = (1 - arch - asymmetry / 2 - garch) + shock + garch * variance
    return returns[200:].T
