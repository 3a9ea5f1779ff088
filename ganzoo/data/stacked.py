"""Stacked MNIST: three digits as the channels of one colour image, and so a thousand modes that can be counted."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.base import at_least
from ganzoo.data.images import MNIST
from ganzoo.data.stream import Samples

HELD_OUT = 26_000  # as many as PacGAN draws from a generator to count its modes
PLACES = torch.tensor([100, 10, 1])  # of the digits in channels R, G, B in the number of their mode


class StackedMNIST(MNIST):
    """MNIST's digits, three at a time as the channels R, G, B: mode (and label) 100 R + 10 G + B, 0 to 999.

    Which digits lie in image i is one fixed draw, with replacement, whatever the seed of the run: a set of 128,000 as in
    VEEGAN's experiment (https://arxiv.org/abs/1705.07761) repeated by PacGAN (https://arxiv.org/abs/1712.04086), where
    Unrolled GAN (https://arxiv.org/abs/1611.02163) draws without end. Training images are made of MNIST's training digits,
    the 26,000 held-out ones of its test digits, where PacGAN's code stacks both together. Images are stacked as they are
    read: the set takes the host no more memory than MNIST. `benchmarks/stacked_modes.py` counts a generator's modes.

    Args:
        samples: training images.
    """

    classes = 1000

    def __init__(self, *, samples: int = 128_000, **mnist: Any) -> None:
        super().__init__(**mnist)
        at_least(1, samples=samples)
        self.samples = samples
        self.shape = (3, *self.shape[1:])

    def splits(self) -> tuple[Samples, Samples]:
        train, held_out = super().splits()
        rng = np.random.default_rng(0)
        return stacked(train, self.samples, rng), stacked(held_out, HELD_OUT, rng)


def stacked(digits: Samples, samples: int, rng: np.random.Generator) -> Samples:
    """Images of three digits each, drawn with replacement."""
    assert digits.labels is not None
    return _StackedSamples(digits.data, digits.labels, rng.integers(len(digits), size=(samples, 3)))


class _Stacks:
    """An array [samples, 3, H, W] whose rows are put together when they are asked for.

    Args:
        digits: [M, 1, H, W].
        picked: which digits are the channels of each row: [samples, 3].
    """

    def __init__(self, digits: np.ndarray, picked: np.ndarray) -> None:
        self.digits, self.picked = digits[:, 0], picked
        self.shape, self.dtype = (*picked.shape, *digits.shape[2:]), digits.dtype
        self.nbytes = int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.picked)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.digits[self.picked[rows]]


class _StackedSamples(Samples):
    def __init__(self, digits: np.ndarray, labels: Tensor, picked: np.ndarray) -> None:
        self.made_of = digits, labels, picked
        self.data: Any = _Stacks(digits, picked)
        self.labels = (labels[torch.from_numpy(picked)] * PLACES).sum(1)

    def __reduce__(self) -> tuple[Any, ...]:
        return _StackedSamples, self.made_of
