"""Two sets of images that nothing connects: two folders, or one set of images, half of which are changed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.base import DataModule, at_least
from ganzoo.data.derived import refuse_no_images
from ganzoo.data.device import ResidentStream, fits
from ganzoo.data.folder import ImageFolder
from ganzoo.data.pairs import Targets, crop_alike, drawn, in_training
from ganzoo.data.stream import Samples, Stream


class UnpairedSamples(Samples):
    """`(source, target)`, or `(source, label, target)`: row i of both sets, each begun anew where it ends before the other."""

    def __init__(self, source: Samples, target: Samples) -> None:
        self.of, self.labels = (source, target), None

    def __reduce__(self) -> tuple[Any, ...]:
        return UnpairedSamples, self.of

    def __len__(self) -> int:
        return max(map(len, self.of))

    @property
    def nbytes(self) -> int:
        return sum(samples.nbytes for samples in self.of)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        rows = np.asarray(indices)
        return tuple(part for samples in self.of for part in samples.__getitems__(rows % len(samples)))

    def on(self, device: torch.device) -> Callable[[Tensor], tuple[Tensor, ...]]:
        both = [(samples.on(device), len(samples)) for samples in self.of]
        return lambda rows: tuple(part for of, length in both for part in of(rows % length))


class UnpairedStream(Stream):
    """Two streams side by side, each in an order of its own: a pure function of (seed, position), as each of them is.

    Args:
        source, target: alike in all but their samples and their seeds.
    """

    def __init__(self, source: Stream, target: Stream) -> None:
        place: dict[str, Any] = {name: getattr(source, name) for name in ("seed", "start", "rank", "world", "minibatches")}
        super().__init__(source.samples, source.batch, **place)
        self.resident = source.resident and target.resident
        self.of = source, target

    def read(self, position: int) -> tuple[Tensor, ...]:
        return tuple(part for stream in self.of for part in stream.read(position))


class TwoDomains(DataModule):
    """Parent of data of two domains: a round's batches are `(source, target)`, of other things each, [N, *shape] in [-1, 1].

    Each domain comes in an order and with flips of its own; an epoch of one ends where its images do.

    Args:
        source_labels: batches are `(source, label, target)`, with the classes of the sources; of the targets none are told.
        load_size: pixels a side of the images, of which a random square of `shape` trains; None: they are as large as that.
    """

    def __init__(self, *, source_labels: bool = False, load_size: int | None = None, **loading: Any) -> None:
        super().__init__(**loading)
        self.source_labels, self.load_size = source_labels, load_size

    def domains(self) -> list[tuple[Samples, Samples] | None]:
        """Sources and targets, for training and held out, the sources with labels if `source_labels`."""
        raise NotImplementedError(f"{type(self).__name__} must say what its domains are")

    def splits(self) -> tuple[Samples, Samples | None]:
        train, held_out = self.domains()
        assert train is not None
        return UnpairedSamples(*train), UnpairedSamples(*held_out) if held_out else None

    def targets_of(self, samples: Samples) -> Samples:
        assert isinstance(samples, UnpairedSamples)
        return Targets(samples.of[1], self.shape[-1])

    def stream(self, batch: int, device: torch.device, **place: Any) -> Stream:
        assert isinstance(self.train, UnpairedSamples)
        there = fits(self.train, device, self.device_share)
        seeds = [place.pop("seed"), 0]
        seeds[1] = int(np.random.SeedSequence([seeds[0], 1]).generate_state(1)[0])
        source, target = (
            ResidentStream(samples, batch, device=device, flip=self.flip, seed=seed, **place)
            if there
            else Stream(samples, batch, flip=self.flip, seed=seed, **place)
            for samples, seed in zip(self.train.of, seeds, strict=True)
        )
        return UnpairedStream(source, target)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int = 0) -> list[tuple[Tensor, ...]]:
        if self.load_size is not None:
            at_random, rng = in_training(self), drawn(self, batch[0].device)
            *source, target = batch
            size = self.shape[-1]
            batch = [*crop_alike(source, size, at_random, rng), *crop_alike([target], size, at_random, rng)]
        return super().on_after_batch_transfer(batch, dataloader_idx)


class Unpaired(TwoDomains):
    """Two folders or .zips of images, any number in each, for CycleGAN and DTN.

    Args:
        source_root, target_root: as ImageFolder's root: the source's folders are classes, for `source_labels`.
        size, load_size: pixels a side of what the game sees, and of the images that it is a random square of (286 of 256 in
            CycleGAN's paper).
        channels: 3, or 1 for grey.
        flip: mirror training images left to right with probability 1/2.
        val_source_root, val_target_root: likewise of held-out images.
        cache, max_unreadable: as for ImageFolder.

    Raises:
        FileNotFoundError: a root that does not exist or holds no images.
        ValueError: one held-out root without the other, `source_labels` without classes, or an argument out of range.
    """

    held_out_hint = "give val_source_root and val_target_root, of held-out images"

    def __init__(
        self,
        *,
        source_root: str,
        target_root: str,
        size: int = 256,
        load_size: int | None = None,
        channels: int = 3,
        flip: bool = False,
        val_source_root: str | None = None,
        val_target_root: str | None = None,
        cache: str | None = None,
        max_unreadable: float = 0.01,
        **two: Any,
    ) -> None:
        super().__init__(load_size=load_size, **two)
        at_least(size, load_size=load_size)
        if (val_source_root is None) != (val_target_root is None):
            raise ValueError("give both --data.val_source_root and --data.val_target_root, or neither")
        of: dict[str, Any] = {"size": load_size or size, "channels": channels, "cache": cache, "max_unreadable": max_unreadable}
        self.source = ImageFolder(root=source_root, val_root=val_source_root if self.source_labels else None, **of)
        self.target = ImageFolder(root=target_root, **of)
        # Held-out folders of their own: whatever classes they have, only a source with labels must agree with.
        self.held_out_ones = [ImageFolder(root=root, **of) for root in (val_source_root, val_target_root) if root]
        self.shape, self.flip = (channels, size, size), flip
        if self.source_labels:
            self.classes = self.source.classes
            if self.classes is None:
                raise ValueError(f"source_labels are of folders in {source_root}, and there are none: leave it out")

    def prepare_data(self) -> None:
        for images in (self.source, self.target, *self.held_out_ones):
            images.prepare_data()

    def domains(self) -> list[tuple[Samples, Samples] | None]:
        train = self.source.splits()
        source, target = train[0], self.target.splits()[0]
        found: list[tuple[Samples, Samples] | None] = [(self._told(source), plain(target)), None]
        if self.held_out_ones:
            held_out = train[1] or self.held_out_ones[0].splits()[0]
            found[1] = self._told(held_out), plain(self.held_out_ones[1].splits()[0])
        return found

    def _told(self, samples: Samples) -> Samples:
        return samples if self.source_labels else plain(samples)


class _Halves(TwoDomains):
    """One set of images: every other one is a source, the rest, changed, are targets.

    Args:
        of: the data, held whole in memory; batches and what else is said of loading are this module's own.

    Raises:
        ValueError: data that are not images, are pairs, or are read from shards; `labelled`; `load_size`; `source_labels` of
            data without classes.
    """

    def __init__(self, *, of: DataModule, **two: Any) -> None:
        super().__init__(**two)
        refuse_no_images(of, type(self).__name__)
        if self.load_size is not None:
            raise ValueError(f"{type(self).__name__} has no larger images to cut from: leave out load_size")
        self.of, self.shape, self.flip, self.held_out_hint = of, of.shape, of.flip, of.held_out_hint
        if self.source_labels:
            self.classes = of.classes
            if of.classes is None:
                raise ValueError("source_labels are the data's classes, and there are none: leave it out")

    def source_of(self, images: np.ndarray) -> np.ndarray:
        """uint8 [M, C, H, W] -> [M, *shape]."""
        return images

    def target_of(self, images: np.ndarray) -> np.ndarray:
        """uint8 [M, C, H, W] -> [M, *shape]."""
        raise NotImplementedError(f"{type(self).__name__} must say how targets differ")

    def prepare_data(self) -> None:
        self.of.prepare_data()

    def domains(self) -> list[tuple[Samples, Samples] | None]:
        self.of.setup()
        return [None if samples is None else self._halves(samples) for samples in (self.of.train, self.of.held_out)]

    def _halves(self, samples: Samples) -> tuple[Samples, Samples]:
        label = samples.labels[::2] if self.source_labels and samples.labels is not None else None
        source, target = samples.data[::2], samples.data[1::2]
        return Samples(self.source_of(source), label), Samples(self.target_of(target))


class Inverted(_Halves):
    """Images as they are, and others of the same set in negative."""

    def target_of(self, images: np.ndarray) -> np.ndarray:
        return 255 - images


class Coloured(_Halves):
    """Images of white on black as they are, and others of the same set in colours, which are drawn once and for all: full ones
    of any hue.

    Raises:
        ValueError: data that are in colour already.
    """

    def __init__(self, *, of: DataModule, **two: Any) -> None:
        super().__init__(of=of, **two)
        if self.shape[0] != 1:
            raise ValueError("Coloured is of grey images, and this data's are in colour: choose other data for --data.of")
        self.shape = (3, *self.shape[1:])

    def source_of(self, images: np.ndarray) -> np.ndarray:
        return images.repeat(3, 1)

    def target_of(self, images: np.ndarray) -> np.ndarray:
        hue = np.random.default_rng(0).random((len(images), 1)) * 6
        # Of each channel 1 within a third of the circle, falling to 0 on both sides: HSV with full saturation and value.
        part = np.clip(2 - np.abs((hue - np.array([0, 2, 4]) + 3) % 6 - 3), 0, 1)  # [M, 3]
        return (images * part[:, :, None, None].astype(np.float32)).round().astype(np.uint8)


class Greyed(Coloured):
    """As `Coloured`, the other way round: sources are in colours, and targets of white on black. What has learned to read
    sources can read targets too."""

    source_of, target_of = Coloured.target_of, Coloured.source_of


def plain(samples: Samples) -> Samples:
    """The samples without their labels."""
    return samples if samples.labels is None else Samples(samples.source)
