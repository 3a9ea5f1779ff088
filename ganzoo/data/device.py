"""Real data where the game is played: sets that fit live on the device, others are copied there a round ahead."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ganzoo.data.stream import Samples, Stream


class ResidentStream(Stream):
    """A stream whose samples, order and flips lie on the device; the batches are `Stream`'s, bit for bit.

    Once an epoch its order is drawn on the host, as `Stream` draws it, and sent over; nothing else is.

    Args:
        device: where the samples go, at once.
    """

    resident = True
    _join = staticmethod(torch.cat)

    def __init__(self, samples: Samples, batch: int, *, device: torch.device, **place: Any) -> None:
        super().__init__(samples, batch, **place)
        self.device = device
        self.of = samples.on(device)

    def read(self, position: int) -> tuple[Tensor, ...]:
        order, mirrored = self._plan(position)
        parts = self.of(order)
        if not self.flip:
            return parts
        mirrored = mirrored[:, None, None, None]
        return tuple(torch.where(mirrored, part.flip(-1), part) if part.ndim == 4 else part for part in parts)

    def _draw(self, epoch: int) -> None:
        if epoch != self._epoch:
            super()._draw(epoch)
            self._order = torch.from_numpy(self._order).to(self.device)
            self._mirrored = torch.from_numpy(self._mirrored).to(self.device)


def fits(samples: Samples, device: torch.device, share: float) -> bool:
    """Whether the samples take at most `share` of the memory of a CUDA device. Other devices gain nothing."""
    return device.type == "cuda" and samples.nbytes <= share * torch.cuda.get_device_properties(device).total_memory


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
