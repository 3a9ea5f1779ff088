"""Means over seeds, and ranks that claim no more than the intervals show."""

from collections.abc import Sequence
from math import ceil, floor, log10, sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from scipy.stats import t

CONFIDENCE = 0.95


class Mean(NamedTuple):
    """Over seeds, with Student's interval; of one seed there is none."""

    value: float
    half: float | None  # of the interval's width
    n: int

    @property
    def low(self) -> float | None:
        return None if self.half is None else self.value - self.half

    @property
    def high(self) -> float | None:
        return None if self.half is None else self.value + self.half


class Rank(NamedTuple):
    """The places that a variant may have."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def mean(values: Sequence[float]) -> Mean | None:
    """None of no values."""
    if not values:
        return None
    n = len(values)
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * stdev(values) / sqrt(n) if n > 1 else None
    return Mean(fmean(values), half, n)


def better(one: Mean, other: Mean, greater: bool) -> bool:
    """Certainly so: the intervals do not overlap."""
    if one.half is None or other.half is None:
        return False
    return one.value - one.half > other.value + other.half if greater else one.value + one.half < other.value - other.half


def ranks(means: Sequence[Mean | None], behind: Sequence[bool], greater: bool) -> list[Rank | None]:
    """The place of each: after all that are certainly better, before all that are certainly worse.

    Args:
        behind: these are behind all others, and tied among themselves: a mean over the seeds that survived flatters.
        greater: is better.

    Returns:
        None for what is not behind and has no mean: it was not measured.
    """

    def beats(one: int, other: int) -> bool:
        if behind[one] or behind[other]:
            return behind[other] and not behind[one]
        (mine, theirs) = means[one], means[other]
        return mine is not None and theirs is not None and better(mine, theirs, greater)

    placed = [i for i, mean in enumerate(means) if behind[i] or mean is not None]
    found: list[Rank | None] = [None] * len(means)
    for i in placed:
        ahead, after = (sum(beats(*pair) for pair in pairs) for pairs in ([(j, i) for j in placed], [(i, j) for j in placed]))
        found[i] = Rank(1 + ahead, len(placed) - after)
    return found


def decimals(value: float, half: float | None, alone: int = 4) -> int:
    """As many as the interval deserves: two digits of it if it begins with 1 or 2, else one, but three in all.

    Args:
        alone: digits of a number without an interval.
    """
    size = max(abs(value), half or 0.0)
    digits = max(0, (3 if half else alone) - ceil(log10(size))) if size else 0
    if not half:
        return digits
    place = floor(log10(half))
    return max(digits, (1 if half / 10**place < 2.95 else 0) - place)


def readable(of: Mean | None, join: str = " ± ", missing: str = "") -> str:
    """`12.3 ± 0.4`."""
    if of is None:
        return missing
    digits = decimals(of.value, of.half)
    return f"{of.value:.{digits}f}" if of.half is None else f"{of.value:.{digits}f}{join}{of.half:.{digits}f}"
