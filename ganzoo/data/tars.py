"""Samples in tar files of the WebDataset layout, local or remote, by their index."""

import os
import tarfile
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from glob import glob
from io import FileIO
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from PIL import UnidentifiedImageError
from torch import Tensor

from ganzoo.data.base import one_line
from ganzoo.data.decode import Decoder
from ganzoo.data.fetch import Fetched
from ganzoo.data.stream import Samples

KINDS = ("jpg", "jpeg", "png", "webp")  # if a sample has several, the first of these


class Shard:
    """A tar file, open, of `size` bytes, whose samples are found at once: `names`, and `labels` if there are `classes`.

    Raises:
        ValueError: not a whole, uncompressed tar; no images; a label that is missing or no class.
    """

    def __init__(self, name: str, file: FileIO, classes: int | None) -> None:
        from webdataset.tariterators import base_plus_ext  # here, because webdataset is an extra

        self.name, self.file, self.size = name, file, os.fstat(file.fileno()).st_size
        found: dict[str, dict[str, tarfile.TarInfo]] = {}
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    key, kind = base_plus_ext(member.name) if member.isreg() else (None, None)
                    if key and kind and found.setdefault(key, {}).setdefault(kind.lower(), member) is not member:
                        raise ValueError(f"{name} holds {member.name} twice: a sample's name is its own")
                if os.pread(file.fileno(), tarfile.BLOCKSIZE, tar.offset) != bytes(tarfile.BLOCKSIZE):
                    raise tarfile.ReadError("it is cut short")  # tarfile takes a header cut in two for the end
        except tarfile.TarError as error:
            raise ValueError(f"{name} is not a whole, uncompressed tar ({one_line(error)}): make it anew") from error
        of = {key: next((files[kind] for kind in KINDS if kind in files), None) for key, files in found.items()}
        self.names = [key for key, image in of.items() if image]
        self.spans = [(image.offset_data, image.size) for image in of.values() if image]
        if not self.names:
            raise ValueError(f"no images in {name}: expected members such as 0001.jpg ({', '.join(KINDS)})")
        self.labels = None if classes is None else [self._label(key, found[key].get("cls"), classes) for key in self.names]

    def read(self, index: int) -> bytes:
        """The image file of a sample; from any thread, and after a fork, since it moves no file position."""
        offset, size = self.spans[index]
        return os.pread(self.file.fileno(), size, offset)

    def _label(self, key: str, member: tarfile.TarInfo | None, classes: int) -> int:
        text = os.pread(self.file.fileno(), member.size, member.offset_data) if member else b""
        if not text.strip().isdigit() or int(text) >= classes:
            says = f"{key}.cls says {text[:20].decode(errors='replace')!r}" if member else f"there is no {key}.cls"
            raise ValueError(f"{says} in {self.name}: labels are 0 to {classes - 1}, or leave out classes")
        return int(text)


class ShardSamples(Samples):
    """The samples of many shards, one shard after another, by their index; a few shards are held open.

    An image that cannot be read is replaced by the next one of its shard that can: what a sample is stays a function of
    its index alone.

    Args:
        counts: samples in each shard, which it is refused for if it has another number.
        keep_open: shards.
        max_unreadable: share of the images that one process may find unreadable.

    Raises:
        ValueError: see Shard; too many unreadable images.
        OSError: a shard cannot be fetched or read.
    """

    def __init__(
        self,
        shards: Sequence[str],
        counts: Sequence[int],
        decoder: Decoder,
        classes: int | None,
        fetched: Fetched,
        keep_open: int,
        max_unreadable: float,
    ) -> None:
        self.arguments = (shards, counts, decoder, classes, fetched, keep_open, max_unreadable)
        self.shards, self.decoder, self.classes, self.fetched = shards, decoder, classes, fetched
        self.max_unreadable, self.unreadable = max_unreadable, set[tuple[str, str]]()
        self.offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])  # of each shard's first sample, and the end
        self.open = lru_cache(keep_open)(self._open)

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardSamples, self.arguments  # a spawned worker opens its own files

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        """uint8 images [len(indices), C, H, W], and int64 labels [len(indices)] if there are classes."""
        rows = np.asarray(indices)
        images = np.empty((len(rows), self.decoder.channels, self.decoder.size, self.decoder.size), np.uint8)
        labels = np.empty(len(rows), np.int64)
        numbers = self._number(rows)
        for number in np.unique(numbers):
            shard = self.open(int(number))
            for place in np.flatnonzero(numbers == number):
                index, images[place] = self._readable(shard, int(rows[place] - self.offsets[number]))
                if shard.labels is not None:
                    labels[place] = shard.labels[index]
            if remote(shard.name):
                os.utime(shard.file.fileno())  # used now: not the next to be deleted
        return (torch.from_numpy(images),) if self.classes is None else (torch.from_numpy(images), torch.from_numpy(labels))

    def ahead(self, indices: np.ndarray) -> None:
        """Begin to fetch the shards of these samples, which will be asked for soon."""
        soon = [name for name in (self.shards[number] for number in self._number(indices)) if remote(name)]
        if soon:
            Thread(target=self._fetch, args=(soon,), daemon=True).start()

    def _fetch(self, names: list[str]) -> None:
        with suppress(OSError, ValueError):  # whoever reads the shard will meet it again
            for name in names:
                self.fetched.open(name).close()

    def _number(self, rows: np.ndarray) -> np.ndarray:
        """In which shards samples are."""
        return np.searchsorted(self.offsets, rows, "right") - 1

    def _open(self, number: int) -> Shard:
        shard = opened(self.shards[number], self.classes, self.fetched)
        if len(shard.names) != (counted := self.offsets[number + 1] - self.offsets[number]):
            fix = f"correct the index, or empty {self.fetched.folder}"
            raise ValueError(
                f"{shard.name} has {len(shard.names)} samples, not {counted} as was counted or its index says: {fix}"
            )
        return shard

    def _readable(self, shard: Shard, index: int) -> tuple[int, np.ndarray]:
        """The first sample from `index` on, and around, whose image can be read: its index and its pixels [C, H, W]."""
        for at in chain(range(index, len(shard.names)), range(index)):
            data = shard.read(at)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # Pillow's, which name no file
                    return at, self.decoder(data)
            except Exception as error:  # OSError, SyntaxError, struct.error, zlib.error ...: the bytes choose
                why = "not an image" if isinstance(error, UnidentifiedImageError) else one_line(error)
                self._pass_over(shard.name, shard.names[at], why)
        raise ValueError(f"no image in {shard.name} can be read: leave the shard out")

    def _pass_over(self, shard: str, name: str, why: str) -> None:
        """Say so the first time, and stop if there are too many."""
        if (shard, name) in self.unreadable:
            return
        self.unreadable.add((shard, name))
        what = f"{name} in {shard} cannot be read ({why})"
        if len(self.unreadable) > self.max_unreadable * len(self):
            many = f"{len(self.unreadable)} such of {len(self):,} images"
            raise ValueError(f"{what}; {many}, max_unreadable is {self.max_unreadable:.2%}: repair or remove them")
        rank_zero_warn(f"{what}: the next image stands in for it")


def opened(shard: str, classes: int | None, fetched: Fetched) -> Shard:
    """Raises ValueError as Shard does, and OSError if the shard is not there."""
    if not remote(shard):
        return Shard(shard, FileIO(place(shard)), classes)
    try:
        return Shard(shard, fetched.open(shard), classes)
    except ValueError:
        fetched.forget(shard)  # an error page, say: the next run is to fetch it again
        raise


def remote(shard: str) -> bool:
    return urlparse(shard).scheme not in ("", "file")


def place(shard: str) -> str:
    """The URL, or the absolute path."""
    return shard if remote(shard) else str(Path(shard.removeprefix("file:").removeprefix("//")).expanduser().absolute())


def expanded(patterns: str | Sequence[str], argument: str) -> list[str]:
    """The shards that patterns stand for.

    Raises:
        FileNotFoundError: there are none, or a local one does not exist.
        ValueError: a pattern that makes no sense, or a URL that cannot be fetched.
    """
    from webdataset.gopen import gopen_schemes  # here, because webdataset is an extra
    from webdataset.shardlists import expand_urls

    names: list[str] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        try:
            found = expand_urls(pattern)
        except (ValueError, AssertionError) as error:  # braces that do not match, an environment variable that is not set
            raise ValueError(f"{argument}: {pattern} is no pattern ({one_line(error)})") from error
        names += chain.from_iterable([name] if remote(name) else sorted(glob(place(name))) or [place(name)] for name in found)
    for name in names:
        if remote(name) and (scheme := urlparse(name).scheme) not in gopen_schemes:
            raise ValueError(f"{argument}: {name} is at {scheme}:, which cannot be fetched from: 'pipe:COMMAND' may do it")
    missing = [name for name in names if not remote(name) and not os.path.isfile(name)]
    if missing or not names:
        first = f"{missing[0]} does not exist" if missing else "there are none"
        count = f" ({len(missing):,} of {len(names):,} are missing)" if len(missing) > 1 else ""
        raise FileNotFoundError(f"{argument}: {first}{count}: give files, or a pattern such as photos-{{000000..000127}}.tar")
    return names
