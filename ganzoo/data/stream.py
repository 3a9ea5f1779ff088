"""Samples as an endless stream: what lies where depends on the seed and the position alone."""

import os
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

CHUNK_BYTES = 1 << 28  # of a mapped file read at once on its way to the device


class Samples(Dataset[tuple[Tensor, ...]]):
    """Real samples with or without labels, read a batch at a time: `(real,)` or `(real, label)`.

    Args:
        data: uint8 images [M, C, H, W], float32 points [M, D] or numbers of symbols, uint8 or int16 [M, length], in memory; or
            the path of an .npy file, to be mapped.
        labels: int64 [M].

    Raises:
        ValueError: no samples, another type, or a number of labels other than M.
    """

    _file: FileIO | None = None  # the one that is mapped, whatever takes its name

    def __init__(self, data: np.ndarray | Tensor | Path, labels: Tensor | None = None) -> None:
        self.source = data
        self.data = np.load(data, mmap_mode="r", allow_pickle=False) if isinstance(data, Path) else np.asarray(data)
        self.labels = labels
        if isinstance(data, Path):
            self._file = FileIO(data)
        if self.data.dtype not in (np.uint8, np.int16, np.float32):
            raise ValueError(f"samples are uint8 images or float32 points, not {self.data.dtype}")
        if not len(self.data):
            raise ValueError("the data set is empty")
        if labels is not None and len(labels) != len(self.data):
            raise ValueError(f"{len(self.data)} samples with {len(labels)} labels")

    def __reduce__(self) -> tuple[Any, ...]:
        return Samples, (self.source, self.labels)  # a spawned worker maps the file again: its pixels are not sent

    def __len__(self) -> int:
        return len(self.data)

    @property
    def nbytes(self) -> int:
        return int(self.data.nbytes)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(item[0] for item in self.__getitems__([index]))

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        """A batch by one indexing call: [len(indices), ...] each.

        Raises:
            OSError: the mapped file has become shorter.
        """
        self._refuse_shrunk()
        rows = np.asarray(indices)
        real = torch.from_numpy(self.data[rows])
        return (real,) if self.labels is None else (real, self.labels[torch.from_numpy(rows)])

    def on(self, device: torch.device) -> Callable[[Tensor], tuple[Tensor, ...]]:
        """`__getitems__` of copies that lie on the device, as the rows [N] it is given do."""
        self._refuse_shrunk()
        real = uploaded(self.data, device)
        label = None if self.labels is None else self.labels.to(device)
        return lambda rows: (real[rows],) if label is None else (real[rows], label[rows])

    def _refuse_shrunk(self) -> None:
        """Reading behind the end of a mapped file would kill the process without a word."""
        if self._file is not None and isinstance(self.data, np.memmap):
            there, needed = os.fstat(self._file.fileno()).st_size, self.data.offset + self.data.nbytes
            if there < needed:
                raise OSError(f"{self.source} was cut from {needed:,} to {there:,} bytes while it was read: delete it")


class Stream(IterableDataset[tuple[Tensor, ...]]):
    """Endless batches, a pure function of (seed, position): one permutation of the samples after another.

    Batches run across the ends of epochs, so no sample is dropped. The order is the same with any number of DataLoader
    workers, and a stream started at a later position continues an earlier one exactly.

    Args:
        samples: what to draw from; a batch may be larger than the set.
        batch: samples in one batch of one rank.
        start: position of the first batch in the stream, in samples, all ranks together.
        rank, world: of the consecutive blocks of `batch / minibatches` samples from `start` on, block b goes to rank
            b % world.
        minibatches: parts of a batch. The ranks' m-th parts together are the m-th part of one rank's batch `world` times as
            large: several devices see in each turn what one would see.
        flip: mirror each image left to right with probability 1/2; where a sample has several images, all of them.
    """

    resident = False  # whether batches come from the device itself
    _join: Any = staticmethod(np.concatenate)

    def __init__(
        self,
        samples: Samples,
        batch: int,
        *,
        seed: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        minibatches: int = 1,
        flip: bool = False,
    ) -> None:
        self.samples, self.batch, self.seed, self.start = samples, batch, seed, start
        self.rank, self.world, self.minibatches, self.flip = rank, world, minibatches, flip
        self._epoch = -1
        self._order: Any  # [samples]
        self._mirrored: Any  # [samples]

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        first, every = (worker.id, worker.num_workers) if worker else (0, 1)
        mine = self.start + self.rank * self.batch // self.minibatches
        # the DataLoader takes one batch of worker 0, one of worker 1, ...: dealing batches in turn keeps their order
        for turn in count(first, every):
            yield self.read(mine + self.batch * self.world * turn)

    def read(self, position: int) -> tuple[Tensor, ...]:
        """The batch whose first part begins at `position` of the stream, and the next ones where the other ranks' end."""
        order, mirrored = self._plan(position)
        parts = self.samples.__getitems__(order)
        for images in (part for part in parts if self.flip and part.ndim == 4):
            pixels = images.numpy()  # the same memory; torch's own threads are slow at this on a busy host
            pixels[mirrored] = pixels[mirrored][..., ::-1]
        return parts

    def _plan(self, position: int) -> tuple[Any, Any]:
        """Which samples are in the batch at `position`, and which of them are mirrored: [batch] each."""
        order, mirrored, part = [], [], self.batch // self.minibatches
        for start in range(position, position + self.batch * self.world, part * self.world):
            at, end = start, start + part
            while at < end:
                epoch, offset = divmod(at, len(self.samples))
                self._draw(epoch)
                order.append(self._order[offset : offset + end - at])
                mirrored.append(self._mirrored[offset : offset + end - at])
                at += len(order[-1])
        return self._join(order), self._join(mirrored)

    def _draw(self, epoch: int) -> None:
        """Draw an epoch's order and flips unless they are at hand; positions only grow, so one epoch is kept."""
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            self._epoch, self._order = epoch, rng.permutation(len(self.samples))
            self._mirrored = rng.random(len(self.samples)) < 0.5


def uploaded(data: np.ndarray, device: torch.device) -> Tensor:
    """The array on the device; a mapped file goes there in chunks, never all of it through the host's memory."""
    there = torch.empty(data.shape, dtype=torch.from_numpy(np.empty(0, data.dtype)).dtype, device=device)
    rows = max(1, CHUNK_BYTES // max(1, data[0].nbytes))
    for start in range(0, len(data), rows):
        there[start : start + rows] = torch.from_numpy(np.array(data[start : start + rows]))
    return there
