"""Real data as an endless stream: what a round receives depends on the seed and the position alone.

A data module hands one round of the game all its minibatches at once; images travel as uint8 and the device normalises
them. Nothing here has a state to save: a resumed run starts the stream at the number of images already seen.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

WORKER_TIMEOUT_SECONDS = 300  # a worker that is silent for longer hangs: stop with an error rather than wait for ever


class Samples(Dataset[tuple[Tensor, ...]]):
    """Real samples with or without labels, read a batch at a time: `(real,)` or `(real, label)`.

    Args:
        data: uint8 images [M, C, H, W] or float32 points [M, D], in memory; or the path of an .npy file, to be mapped.
        labels: int64 [M].

    Raises:
        ValueError: no samples, another type, or a number of labels other than M.
    """

    def __init__(self, data: np.ndarray | Tensor | Path, labels: Tensor | None = None) -> None:
        self.source = data
        self.data = np.load(data, mmap_mode="r", allow_pickle=False) if isinstance(data, Path) else np.asarray(data)
        self.labels = labels
        if self.data.dtype not in (np.uint8, np.float32):
            raise ValueError(f"samples are uint8 images or float32 points, not {self.data.dtype}")
        if not len(self.data):
            raise ValueError("the data set is empty")
        if labels is not None and len(labels) != len(self.data):
            raise ValueError(f"{len(self.data)} samples with {len(labels)} labels")

    def __reduce__(self) -> tuple[Any, ...]:
        return Samples, (self.source, self.labels)  # a spawned worker maps the file again: its pixels are not sent

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(item[0] for item in self.__getitems__([index]))

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        """A batch by one indexing call: [len(indices), ...] each."""
        rows = np.asarray(indices)
        real = torch.from_numpy(self.data[rows])
        return (real,) if self.labels is None else (real, self.labels[torch.from_numpy(rows)])


class Stream(IterableDataset[tuple[Tensor, ...]]):
    """Endless batches, a pure function of (seed, position): one permutation of the samples after another.

    Batches run across the ends of epochs, so no sample is dropped. The order is the same with any number of DataLoader
    workers, and a stream started at a later position continues an earlier one exactly.

    Args:
        samples: what to draw from; a batch may be larger than the set.
        batch: samples in one batch of one rank.
        start: position of the first batch in the stream, in samples, all ranks together.
        rank, world: of the consecutive blocks of `batch` samples from `start` on, block b goes to rank b % world.
        flip: mirror each image left to right with probability 1/2.
    """

    def __init__(
        self,
        samples: Samples,
        batch: int,
        *,
        seed: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        flip: bool = False,
    ) -> None:
        self.samples, self.batch, self.seed, self.start = samples, batch, seed, start
        self.rank, self.world, self.flip = rank, world, flip
        self._epoch, self._order, self._mirrored = -1, np.empty(0, np.int64), np.empty(0, np.bool_)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        first, every = (worker.id, worker.num_workers) if worker else (0, 1)
        # the DataLoader takes one batch of worker 0, one of worker 1, ...: dealing blocks in turn keeps their order
        for block in count(self.rank + self.world * first, self.world * every):
            yield self.read(self.start + self.batch * block)

    def read(self, position: int) -> tuple[Tensor, ...]:
        """The batch at `position` .. `position + batch - 1` of the stream."""
        order, mirrored = self._plan(position)
        real, *label = self.samples.__getitems__(order)
        if self.flip:
            pixels = real.numpy()  # the same memory; torch's own threads are slow at this on a busy host
            pixels[mirrored] = pixels[mirrored][..., ::-1]
        return real, *label

    def _plan(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Which samples lie at `position` and after, and which of them are mirrored: [batch] each."""
        order, mirrored, end = [], [], position + self.batch
        while position < end:
            epoch, offset = divmod(position, len(self.samples))
            self._draw(epoch)
            order.append(self._order[offset : offset + end - position])
            mirrored.append(self._mirrored[offset : offset + end - position])
            position += len(order[-1])
        return np.concatenate(order), np.concatenate(mirrored)

    def _draw(self, epoch: int) -> None:
        """Draw an epoch's order and flips unless they are at hand; positions only grow, so one epoch is kept."""
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            self._epoch, self._order = epoch, rng.permutation(len(self.samples))
            self._mirrored = rng.random(len(self.samples)) < 0.5


class Rounds(DataLoader[tuple[Tensor, ...]]):
    """The stream from where the game stands: Lightning's next epoch (after limit_train_batches) replays nothing."""

    def __init__(self, stream: Stream, game: Any, **loader: Any) -> None:
        super().__init__(stream, batch_size=None, **loader)
        self.stream, self.game = stream, game

    def __iter__(self) -> Any:
        self.stream.start = int(getattr(self.game, "images_seen", 0))
        return super().__iter__()


class DataModule(L.LightningDataModule):
    """Base of all data. A round receives `[(real,), ...]` or `[(real, label), ...]`, float32, one item a minibatch.

    A subclass sets `shape` (and `classes`, `flip`) in `__init__`, without reading the data, and returns its samples
    from `splits()`; `prepare_data()`, where needed, downloads or decodes.

    The game (the LightningModule) may say `minibatches` (a round needs that many; 1), `images_seen` (where the stream
    goes on, all ranks together; 0) and `seed` (0).

    Args:
        batch_size: samples in a minibatch, on each device.
        workers: processes that read ahead; the order of the data does not depend on it.

    Raises:
        ValueError: batch_size below 1 or workers below 0.
    """

    shape: tuple[int, ...]  # of one sample: (C, H, W) or (D,)
    classes: int | None = None
    flip: bool = False
    held_out_hint = "choose data that has one"

    train: Samples
    held_out: Samples | None

    def __init__(self, *, batch_size: int = 64, workers: int = 0) -> None:
        super().__init__()
        at_least(1, batch_size=batch_size)
        at_least(0, workers=workers)
        self.batch_size = batch_size
        self.workers = workers

    def splits(self) -> tuple[Samples, Samples | None]:
        """The training samples and the held-out ones, if there are any."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        if not hasattr(self, "train"):  # Lightning comes here once for every stage
            self.train, self.held_out = self.splits()

    def train_dataloader(self) -> Rounds:
        """Endless; one item is one round of this rank: minibatches * batch_size samples."""
        assert self.trainer is not None, "train_dataloader() needs a trainer"
        game = self.trainer.lightning_module
        stream = Stream(
            self.train,
            getattr(game, "minibatches", 1) * self.batch_size,
            seed=getattr(game, "seed", 0),
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
            flip=self.flip,
        )
        return Rounds(stream, game, **self._loading())

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]] | list[Any]:
        """The held-out samples in order, once; nothing during `fit` if there are none.

        Raises:
            ValueError: asked for outside `fit` and there is no held-out split.
        """
        if self.held_out is None:
            if self.trainer is not None and self.trainer.state.fn == "fit":
                return []
            raise ValueError(f"{type(self).__name__} has no held-out split here: {self.held_out_hint}")
        # `__getitems__` returns whole batches: there is nothing left to collate
        return DataLoader(self.held_out, self.batch_size, collate_fn=tuple, **self._loading())

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]] | list[Any]:
        return self.val_dataloader()

    def on_after_batch_transfer(self, batch: Sequence[Tensor], dataloader_idx: int = 0) -> list[tuple[Tensor, ...]]:
        """On the device: normalise, and split a round [k * batch_size, ...] into k minibatches [batch_size, ...]."""
        real, *label = batch
        return list(zip(*(part.split(self.batch_size) for part in (normalised(real), *label)), strict=True))

    def real_samples(self, n: int) -> Tensor:
        """The first n training samples (fewer if there are fewer) as the model sees them: float32 [n, ...]."""
        self.setup()
        return normalised(self.train.__getitems__(range(min(n, len(self.train))))[0])

    def _loading(self) -> dict[str, Any]:
        on_cuda = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        timeout = WORKER_TIMEOUT_SECONDS if self.workers else 0
        return {"num_workers": self.workers, "timeout": timeout, "pin_memory": on_cuda}


def normalised(real: Tensor) -> Tensor:
    """uint8 images -> float32 in [-1, 1], batches channels last; float points stay as they are."""
    if real.is_floating_point():
        return real
    order = torch.channels_last if real.ndim == 4 else torch.preserve_format
    return real.to(torch.float32, memory_format=order) / 127.5 - 1


def at_least(least: int, **numbers: int) -> None:
    """Raise ValueError naming the first argument that is below `least`."""
    for name, number in numbers.items():
        if number < least:
            raise ValueError(f"{name} must be at least {least}, not {number}")


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
