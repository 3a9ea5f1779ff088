"""Real data where the game is played: sets that fit live on the device, others are copied there a round ahead."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.stream import Samples, Stream

CHUNK_BYTES = 1 << 28  # of a mapped file read at once on its way to the device


class ResidentStream(Stream):
    """A stream whose samples, labels, order and flips lie on the device; the batches are `Stream`'s, bit for bit.

    Once an epoch its order is drawn on the host, as `Stream` draws it, and sent over; nothing else is.

    Args:
        device: where the samples go, at once.
    """

    _join = staticmethod(torch.cat)

    def __init__(self, samples: Samples, batch: int, *, device: torch.device, **place: Any) -> None:
        super().__init__(samples, batch, **place)
        self.device = device
        self.real = uploaded(samples.data, device)
        self.label = None if samples.labels is None else samples.labels.to(device)

    def read(self, position: int) -> tuple[Tensor, ...]:
        order, mirrored = self._plan(position)
        real = self.real[order]  # [batch, ...]
        if self.flip:
            real = torch.where(mirrored[:, None, None, None], real.flip(-1), real)
        return (real,) if self.label is None else (real, self.label[order])

    def _draw(self, epoch: int) -> None:
        if epoch != self._epoch:
            super()._draw(epoch)
            self._order = torch.from_numpy(self._order).to(self.device)
            self._mirrored = torch.from_numpy(self._mirrored).to(self.device)


def fits(samples: Samples, device: torch.device, share: float) -> bool:
    """Whether the samples take at most `share` of the memory of a CUDA device. Other devices gain nothing."""
    return device.type == "cuda" and samples.data.nbytes <= share * torch.cuda.get_device_properties(device).total_memory


def uploaded(data: np.ndarray, device: torch.device) -> Tensor:
    """The array on the device; a mapped file goes there in chunks, never all of it through the host's memory."""
    there = torch.empty(data.shape, dtype=torch.from_numpy(np.empty(0, data.dtype)).dtype, device=device)
    rows = max(1, CHUNK_BYTES // max(1, data[0].nbytes))
    for start in range(0, len(data), rows):
        there[start : start + rows] = torch.from_numpy(np.array(data[start : start + rows]))
    return there


def ahead(batches: Iterator[tuple[Tensor, ...]], device: torch.device) -> Iterator[tuple[Tensor, ...]]:
    """The batches on a CUDA device, each copied while the game plays the round before."""
    side = torch.cuda.Stream(device)

    def copied() -> tuple[Tensor, ...]:
        # The memory of a batch that is done with is written anew only after the work that read it.
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            return tuple(part.to(device, non_blocking=True) for part in next(batches))

    coming = copied()
    while True:
        torch.cuda.current_stream(device).wait_stream(side)
        batch, coming = coming, copied()
        yield batch
