"""Data of which only a few labels are known: beside every image lies one of the few that have a label."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.stream import Samples


class PartlyLabelledSamples(Samples):
    """`(real, labelled, label)`: row i of the samples, whose own label is not told, beside row `beside[i]` and its label.

    Args:
        of: samples with labels.
        beside: the labelled sample of each row: int64 [M].
    """

    def __init__(self, of: Samples, beside: np.ndarray) -> None:
        self.of, self.beside, self.data, self.labels = of, beside, of.data, of.labels

    def __reduce__(self) -> tuple[Any, ...]:
        return PartlyLabelledSamples, (self.of, self.beside)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        rows = np.asarray(indices)
        return self.of.__getitems__(rows)[0], *self.of.__getitems__(self.beside[rows])

    def on(self, device: torch.device) -> Callable[[Tensor], tuple[Tensor, ...]]:
        of, beside = self.of.on(device), torch.from_numpy(self.beside).to(device)
        return lambda rows: (of(rows)[0], *of(beside[rows]))


def partly_labelled(samples: Samples, labelled: int, seed: int) -> PartlyLabelledSamples:
    """The samples, of which `labelled` have a label: drawn at random, as many of each class as of any other.

    Each of them lies beside as many rows as any other, in an order drawn once.

    Raises:
        ValueError: no labels, more than there are samples, or fewer than there are classes.
    """
    labels = getattr(samples, "labels", None)
    if labels is None:
        raise ValueError("labelled chooses samples by their labels, and this data has none, or only as it is read")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(samples))
    label = labels.numpy()[order]
    classes = np.unique(label)
    if not len(classes) <= labelled <= len(samples):
        limits = f"{len(classes)} (classes) to {len(samples)} (training samples)"
        raise ValueError(f"labelled is a number from {limits}, not {labelled}")
    turn = np.empty(len(samples), np.int64)  # how many of its class come before a sample
    for one in classes:
        turn[label == one] = np.arange((label == one).sum())
    chosen = order[turn.argsort(kind="stable")[:labelled]]
    return PartlyLabelledSamples(samples, rng.permutation(np.resize(chosen, len(samples))))


def wholly_labelled(samples: Samples) -> PartlyLabelledSamples:
    """The samples, each beside itself: held-out data, whose labels are all known, in the form of the training data."""
    return PartlyLabelledSamples(samples, np.arange(len(samples)))
