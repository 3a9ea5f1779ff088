"""What data of pairs have in common: samples of two parts, a random crop of both, and what is drawn on the device."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.base import DataModule
from ganzoo.data.stream import Samples

OF_DATA = 2  # at the end of the key of what data modules draw: the game's own noise of the round is another


def in_training(data: DataModule) -> bool:
    """Whether a batch is for a round of training, and may differ each time."""
    return data.trainer is not None and bool(data.trainer.training) and not data.still


def drawn(data: DataModule, device: torch.device) -> torch.Generator:
    """Random numbers of a round of training: a function of (seed, round, rank) alone, and of how often the run has gone back
    for NaN. Elsewhere always the same."""
    trainer = data.trainer
    key = [0]
    if trainer is not None and in_training(data):
        game = trainer.lightning_module
        key = [int(getattr(game, "seed", 0) or 0), trainer.global_step, trainer.global_rank]
        if noise := int(getattr(game, "noise", 0)):  # it ends the game's key, which would be this one's when it is OF_DATA
            key.append(noise)
    state = np.random.SeedSequence([*key, OF_DATA]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state))


def cropped(images: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
    """Of each image a square of its own: [N, C, H, W], [N], [N] -> [N, C, size, size]."""
    along = torch.arange(size, device=images.device)
    rows, columns = top[:, None] + along, left[:, None] + along  # [N, size]
    which = torch.arange(len(images), device=images.device)
    picked = images.movedim(1, 3)[which[:, None, None], rows[:, :, None], columns[:, None]]  # [N, size, size, C]
    return picked.movedim(3, 1)


def crop_alike(parts: Sequence[Tensor], size: int, at_random: bool, rng: torch.Generator) -> list[Tensor]:
    """Parts of pairs, whose images [N, C, H, W] are cut alike, at random or from the centre; labels stay as they are."""
    images = next(part for part in parts if part.ndim == 4)
    room = images.shape[-1] - size
    if not room:
        return list(parts)
    shape = (len(images),)
    top, left = (
        torch.randint(room + 1, shape, generator=rng, device=images.device)
        if at_random
        else torch.full(shape, room // 2, device=images.device)
        for _ in range(2)
    )
    return [cropped(part, top, left, size) if part.ndim == 4 else part for part in parts]


class PairedSamples(Samples):
    """`(source, target)`: images of two sets that belong together, uint8 [N, C, H, W] each.

    Args:
        rows: of the two images of each pair: int64 [M, 2].

    Raises:
        ValueError: no pairs.
    """

    def __init__(self, source: Samples, target: Samples, rows: np.ndarray) -> None:
        if not len(rows):
            raise ValueError("the data set is empty")
        self.of, self.rows, self.labels = (source, target), rows, None

    def __reduce__(self) -> tuple[Any, ...]:
        return PairedSamples, (*self.of, self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        return sum(samples.nbytes for samples in self.of)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        rows = self.rows[np.asarray(indices)]
        return tuple(samples.__getitems__(rows[:, i])[0] for i, samples in enumerate(self.of))

    def on(self, device: torch.device) -> Callable[[Tensor], tuple[Tensor, ...]]:
        source, target = (samples.on(device) for samples in self.of)
        there = torch.from_numpy(self.rows).to(device)
        return lambda rows: (source(there[rows, 0])[0], target(there[rows, 1])[0])


class Targets(Samples):
    """The targets of pairs alone, cut from the centre: uint8 [N, C, size, size]."""

    def __init__(self, pairs: Samples, size: int) -> None:
        self.pairs, self.size, self.labels = pairs, size, None

    def __reduce__(self) -> tuple[Any, ...]:
        return Targets, (self.pairs, self.size)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        target = self.pairs.__getitems__(indices)[-1]
        at = (target.shape[-1] - self.size) // 2
        return (target[..., at : at + self.size, at : at + self.size],)
