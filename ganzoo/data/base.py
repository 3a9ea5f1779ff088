"""Real data as an endless stream: what a round receives depends on the seed and the position alone.

A data module hands one round of the game all its minibatches at once; images travel as uint8 and the device normalises
them. Nothing here has a state to save: a resumed run starts the stream at the number of images already seen.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ganzoo.data.device import ResidentStream, ahead, fits
from ganzoo.data.labelled import partly_labelled, wholly_labelled
from ganzoo.data.limited import limited
from ganzoo.data.stream import Samples, Stream

GRACE_SECONDS = 30  # after SIGTERM
WORKER_TIMEOUT_SECONDS = 300  # a worker that is silent for longer hangs: stop with an error rather than wait for ever


class Rounds(DataLoader[tuple[Tensor, ...]]):
    """The stream from where the game stands: Lightning's next epoch (after limit_train_batches) replays nothing."""

    def __init__(self, stream: Stream, game: Any, device: torch.device, **loader: Any) -> None:
        super().__init__(stream, batch_size=None, **loader)
        self.stream, self.game, self.device = stream, game, device

    def __iter__(self) -> Any:
        self.stream.start = int(getattr(self.game, "images_seen", 0))
        batches = watched(super().__iter__())
        there = self.stream.resident or self.device.type != "cuda"
        return batches if there else ahead(batches, self.device)


class DataModule(L.LightningDataModule):
    """Base of all data. A round receives `[(real,), ...]` or `[(real, label), ...]`, float32, one item a minibatch; with
    `labelled`, for semi-supervised variants, `[(real, labelled, label), ...]`.

    A subclass sets `shape` (and `classes`, `flip`) in `__init__`, without reading the data, and returns its samples
    from `splits()`; `prepare_data()`, where needed, downloads or decodes.

    The game (the LightningModule) may say `minibatches` (a round needs that many; 1), `images_seen` (where the stream
    goes on, all ranks together; 0) and `seed` (0).

    Args:
        batch_size: samples in a minibatch, on each device.
        workers: processes that read ahead; the order of the data does not depend on it.
        device_share: training samples that take at most this share of a GPU's memory live there, where no worker is needed;
            larger sets are read by the host, and copied to the GPU a round ahead.
        labelled: of so many training samples, drawn evenly from the classes, the label is used: each minibatch of samples
            without labels comes beside one of these and their labels. None: all labels, where the data has any.
        label_seed: of the draw of these.
        limit: so many training samples, always the same, and no others train; None: all. Held-out ones stay as they are.

    Raises:
        ValueError: batch_size or limit below 1, workers or label_seed below 0, or device_share outside 0 .. 1; labelled of data
            without labels, above the number of samples or below that of classes; limit above the number of samples.
    """

    shape: tuple[int, ...]  # of one sample: (C, H, W), (D,), (length, features) or (length, vocabulary)
    kind = ""  # what samples are where they are neither images nor points: series, strings or rows
    classes: int | None = None
    flip: bool = False
    held_out_hint = "choose data that has one"
    still = False  # whether nothing in batches is drawn anew (`at_rest`)
    alike = True  # whether held-out samples are of one size, and come in batches
    measured: int | None = None  # real images that scores are measured against: the first so many, None for all
    valid: Callable[[Tensor], Tensor] | None = None  # which samples [N, *shape] are any of this data's at all, bool [N]

    train: Samples
    held_out: Samples | None

    def __init__(
        self,
        *,
        batch_size: int = 64,
        workers: int = 0,
        device_share: float = 0.25,
        labelled: int | None = None,
        label_seed: int = 0,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        at_least(1, batch_size=batch_size, limit=limit)
        at_least(0, workers=workers, label_seed=label_seed)
        if not 0 <= device_share <= 1:
            raise ValueError(f"device_share is a share of the GPU's memory, 0 to 1, not {device_share}")
        self.batch_size = batch_size
        self.workers = workers
        self.device_share = device_share
        self.labelled, self.label_seed, self.limit = labelled, label_seed, limit

    def splits(self) -> tuple[Samples, Samples | None]:
        """The training samples and the held-out ones, if there are any."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        if not hasattr(self, "train"):  # Lightning comes here once for every stage
            self.train, self.held_out = self.splits()
            if self.limit is not None:
                self.train = limited(self.train, self.limit)
            if self.labelled is not None:
                self.train = partly_labelled(self.train, self.labelled, self.label_seed)
                self.held_out = None if self.held_out is None else wholly_labelled(self.held_out)

    def stream(self, batch: int, device: torch.device, **place: Any) -> Stream:
        """The training samples as a stream, on the device if they fit there; `place`: seed, rank, world and minibatches."""
        if fits(self.train, device, self.device_share):
            return ResidentStream(self.train, batch, device=device, flip=self.flip, **place)
        return Stream(self.train, batch, flip=self.flip, **place)

    def train_dataloader(self) -> Rounds:
        """Endless; one item is one round of this rank: minibatches * batch_size samples."""
        assert self.trainer is not None, "train_dataloader() needs a trainer"
        game = self.trainer.lightning_module
        device = self.trainer.strategy.root_device
        minibatches = getattr(game, "minibatches", 1)
        stream = self.stream(
            minibatches * self.batch_size,
            device,
            minibatches=minibatches,
            seed=getattr(game, "seed", 0),
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
        )
        return Rounds(stream, game, device, **({} if stream.resident else self._loading()))

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
        return DataLoader(self.held_out, self.batch_size if self.alike else 1, collate_fn=tuple, **self._loading())

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]] | list[Any]:
        return self.val_dataloader()

    def on_after_batch_transfer(self, batch: Sequence[Tensor], dataloader_idx: int = 0) -> list[tuple[Tensor, ...]]:
        """On the device: normalise, and split a round [k * batch_size, ...] into k minibatches [batch_size, ...]."""
        return list(zip(*(normalised(part).split(self.batch_size) for part in batch), strict=True))

    def real_samples(self, n: int) -> Tensor:
        """The first n training samples (fewer if there are fewer) as the model sees them: float32 [n, ...]."""
        self.setup()
        targets = self.targets_of(self.train)
        return normalised(targets.__getitems__(range(min(n, len(targets))))[0])

    def units(self) -> dict[str, Any] | None:
        """What the numbers of a sample mean, in JSON's types, for `ganzoo.tables`; None where samples are no table. Checkpoints
        keep it, so that samples can be written in the data's own units with no data at hand. After `setup()`."""
        return None

    def targets_of(self, samples: Samples) -> Samples:
        """The images among a split's samples that a game's samples are to be like: all, unless they are pairs."""
        return samples

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """While it lasts, nothing in batches is drawn anew: the same samples become the same batches."""
        self.still = True
        try:
            yield
        finally:
            self.still = False

    def _loading(self) -> dict[str, Any]:
        on_cuda = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        timeout = WORKER_TIMEOUT_SECONDS if self.workers else 0
        return {
            "num_workers": self.workers,
            "timeout": timeout,
            "pin_memory": on_cuda,
            "worker_init_fn": outlive_signals if self.workers else None,
        }


def outlive_signals(worker: int) -> None:
    """In a process that reads data: what reaches all processes, as Ctrl-C does, leaves the main one time to save its round."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE_SECONDS))


def watched(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches; after an error none of the processes that read them is left, whatever it waits for."""
    readers = list(getattr(batches, "_workers", ()))
    try:
        yield from batches
    except Exception as error:
        if isinstance(error, ConnectionError | EOFError):  # one of them died while it handed over a batch:
            time.sleep(1)  # torch hears of its death meanwhile, and raises an error that names it
        if readers:
            batches._shutdown_workers()  # type: ignore[attr-defined] # by SIGTERM, for which one that hangs has no ear
        for reader in readers:
            reader.kill()
        raise


def normalised(part: Tensor) -> Tensor:
    """uint8 images -> float32 in [-1, 1], batches channels last; float points and labels stay as they are."""
    if part.dtype != torch.uint8:
        return part
    order = torch.channels_last if part.ndim == 4 else torch.preserve_format
    return part.to(torch.float32, memory_format=order) / 127.5 - 1


def at_least(least: int, **numbers: int | None) -> None:
    """Raise ValueError naming the first argument that is below `least`; None is not."""
    for name, number in numbers.items():
        if number is not None and number < least:
            raise ValueError(f"{name} must be at least {least}, not {number}")


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
