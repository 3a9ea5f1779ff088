"""Schedules: numbers as functions of how far training has come, in images seen or in rounds.

They have no state: a run that was stopped asks again and goes on where it was. Their arguments are numbers, so that games can
take them as JSON.
"""

import math
from collections.abc import Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Scheduled(Protocol):
    """A network of which something follows a schedule, in a buffer."""

    def anneal(self, step: int) -> None:
        """Set it, in place, for round `step`."""


def way_left(now: float, begin: float, end: float) -> float:
    """The share of the way from `begin` to `end` that is still to go: 1 until `begin`, 0 from `end` on."""
    if now >= end:
        return 0.0
    return 1.0 if now <= begin else (end - now) / (end - begin)


def linear(now: float, first: float, last: float, begin: float, end: float) -> float:
    """`first` until `begin`, then along a straight line to `last`, which it is from `end` on."""
    left = way_left(now, begin, end)
    return first * left + last * (1 - left)


def refuse_reversed(decay: tuple[int, int] | None) -> None:
    """Raise ValueError unless the learning rates' `decay` is None, or two rounds in their order."""
    if decay is not None and not 0 <= decay[0] <= decay[1]:
        raise ValueError(
            "decay is the round in which the learning rates begin to fall and the one in which they reach zero, such as "
            f"[50000, 100000], not {list(decay)}"
        )


def cosine(now: float, first: float, last: float, begin: float, end: float) -> float:
    """As `linear`, but along half a wave: slowly at both ends (arXiv:1608.03983, eq. 5, without restarts)."""
    left = (1 - math.cos(math.pi * way_left(now, begin, end))) / 2
    return first * left + last * (1 - left)


def kept(images: float, half_life: float) -> float:
    """What share of its memory an average keeps over so many images, if after `half_life` it is one half; 0 if that is 0."""
    return 0.0 if half_life <= 0 else 0.5 ** (images / half_life)


def grown(images: float, stabilise: float, fade: float) -> float:
    """How many levels networks have grown after so many images (arXiv:1710.10196, appendix A.1): a whole number while they
    stabilise, for `stabilise` images each time, and more by a part of 1 while the next level is faded in over `fade` images.
    """
    levels, images = divmod(max(0.0, images), stabilise + fade)
    return levels + (max(0.0, images - stabilise) / fade if fade else 0.0)


def at_size(table: Mapping[int, float], size: int, below: float) -> float:
    """What a table of sizes has from the largest size on that is not above this one; `below` below all of them."""
    return table[max(sizes)] if (sizes := [at for at in table if at <= size]) else below
