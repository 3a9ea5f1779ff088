"""Image sets too large for one disk: tar shards in the WebDataset layout, local or remote, read as a stream."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from ganzoo.data.base import DataModule, at_least, one_line
from ganzoo.data.cache import default_cache, replacing
from ganzoo.data.decode import Decoder
from ganzoo.data.fetch import Fetched, why
from ganzoo.data.stream import Samples, Stream
from ganzoo.data.tars import ShardSamples, expanded, opened, place, remote

READERS = 8  # shards counted at a time
GENERATIONS = 3  # of a lane's shards in the cache: read, fetched ahead, and done, which may be used later than those ahead


class ShardStream(Stream):
    """A Stream that reads few shards at a time: a function of seed, position, `batch`, `lanes` and `mix`.

    Lane l owns the l-th part of the samples, all parts alike in size, and block b of `batch` samples comes from lane
    b % lanes: if the lanes are a multiple of the readers (ranks times workers), each reads its own lanes alone. A lane
    goes through its shards in an order drawn anew each time, `mix` of them at once, whose samples are shuffled together.
    """

    samples: ShardSamples

    def __init__(self, samples: ShardSamples, batch: int, *, lanes: int, mix: int, **place: Any) -> None:
        super().__init__(samples, batch, **place)
        self.lanes, self.mix = min(lanes, len(samples)), mix
        self._drawn: dict[int, tuple[tuple[int, int], np.ndarray, np.ndarray]] = {}  # of each lane, the window it is in

    def _plan(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        order, mirrored, end = [], [], position + self.batch
        while position < end:
            block, inside = divmod(position, self.batch)
            turn, lane = divmod(block, self.lanes)
            take = min(end - position, self.batch - inside)
            samples, flips = self._window(lane, turn * self.batch + inside)
            order.append(samples[:take])
            mirrored.append(flips[:take])
            position += len(order[-1])
        return np.concatenate(order), np.concatenate(mirrored)

    def _window(self, lane: int, position: int) -> tuple[np.ndarray, np.ndarray]:
        """The samples of a lane from a position of the lane to the end of the window, and which of them are mirrored."""
        first, end = self._owned(lane)
        epoch, offset = divmod(position, end - first)
        parts = self._parts(lane, epoch)
        ends = np.cumsum(parts[:, 1] - parts[:, 0])
        window = int(np.searchsorted(ends, offset, "right")) // self.mix
        here = window * self.mix  # the first part in the window
        if lane not in self._drawn or self._drawn[lane][0] != (epoch, window):
            rng = np.random.default_rng([self.seed, lane, epoch, 1 + window])
            order = rng.permutation(np.concatenate([np.arange(*part) for part in parts[here : here + self.mix]]))
            self._drawn[lane] = (epoch, window), order, rng.random(len(order)) < 0.5
            following = parts[here + self.mix :] if here + self.mix < len(parts) else self._parts(lane, epoch + 1)
            self.samples.ahead(following[: self.mix, 0])
        _, order, mirrored = self._drawn[lane]
        done = offset - (ends[here - 1] if here else 0)
        return order[done:], mirrored[done:]

    def _parts(self, lane: int, epoch: int) -> np.ndarray:
        """What a lane owns of each shard, in the order of an epoch: first sample and end, [shards, 2]."""
        cuts = np.unique(self.samples.offsets.clip(*self._owned(lane)))
        return np.random.default_rng([self.seed, lane, epoch, 0]).permutation(np.stack([cuts[:-1], cuts[1:]], 1))

    def _owned(self, lane: int) -> tuple[int, int]:
        """First sample and end."""
        return len(self.samples) * lane // self.lanes, len(self.samples) * (lane + 1) // self.lanes


class Count(NamedTuple):
    """What is known of a shard that is not open."""

    samples: int
    size: int  # bytes; 0 if an index does not say


class Shards(DataModule):
    """Images in tar files (shards) of the WebDataset layout, for sets that are too large for one disk or to be decoded first.

    A sample is an image `KEY.jpg`, `.jpeg`, `.png` or `.webp`, and the label in `KEY.cls` if `classes` is given; other
    members are passed over. Local shards are read where they are. Remote ones are fetched whole, ahead of their use, into
    a cache of bounded size, and deleted again. `prepare_data()` counts the samples of each shard, once: for a large remote
    set give an `index` instead.

    The order of the data is a function of seed, position, batch, `lanes` and `mix`, the same for any number of workers.
    Evaluation takes the first 50,000 images as the real ones.

    Args:
        shards: a pattern such as photos-{000000..000127}.tar or photos-*.tar, or several: paths or URLs (http, https, gs,
            hf, ...; `pipe:COMMAND` is what COMMAND prints).
        size: pixels a side: the shorter side is resized to it (Lanczos, antialiased), the centre is cut out.
        channels: 3, or 1 for grey.
        crop: first cut out the centre, `crop` pixels a side (all of a side that is shorter).
        flip: mirror training images left to right with probability 1/2.
        classes: how many there are; labels are not read if it is not given.
        val_shards: held-out images, as `shards`.
        index: a JSON file, local or remote, in the format of wids: {"shardlist": [{"url": ..., "nsamples": ...}, ...]}.
        cache: where remote shards and the counts are kept: by default $GANZOO_CACHE, $XDG_CACHE_HOME/ganzoo or
            ~/.cache/ganzoo, there in `shards`.
        cache_gb: 10^9 bytes that fetched shards may take.
        lanes: parts of the set that take turns to give a batch. A multiple of devices * workers lets each worker read
            shards that no other reads.
        mix: shards of a lane whose samples are shuffled together.
        max_unreadable: share of the images that may be unreadable: the next one of the shard stands in for each.

    Raises:
        FileNotFoundError: a local shard is missing.
        ValueError: an argument out of range, the extra is not installed, a shard that is no tar or holds no images, an
            index that is none, or a cache too small for the shards that are read at once.
        OSError: a shard cannot be fetched.
    """

    held_out_hint = "give val_shards, shards of held-out images"
    measured = 50_000

    train: ShardSamples

    def __init__(
        self,
        *,
        shards: str | list[str],
        size: int = 64,
        channels: int = 3,
        crop: int | None = None,
        flip: bool = False,
        classes: int | None = None,
        val_shards: str | list[str] | None = None,
        index: str | None = None,
        cache: str | None = None,
        cache_gb: float = 50.0,
        lanes: int = 8,
        mix: int = 2,
        max_unreadable: float = 0.01,
        **loading: Any,
    ) -> None:
        super().__init__(**loading)
        if find_spec("webdataset") is None:
            raise ValueError("Shards needs webdataset: pip install 'ganzoo-lightning[streaming]'")
        at_least(1, lanes=lanes, mix=mix, classes=classes)
        if not 0 <= max_unreadable <= 1:
            raise ValueError(f"max_unreadable is a share between 0 and 1, not {max_unreadable}")
        self.decoder = Decoder(size, channels, crop)
        self.shape, self.classes, self.flip = (channels, size, size), classes, flip
        self.shards = expanded(shards, "shards")
        self.val_shards = [] if val_shards is None else expanded(val_shards, "val_shards")
        self.lanes, self.mix, self.max_unreadable = lanes, mix, max_unreadable
        self.folder = (Path(cache).expanduser() if cache else default_cache()).absolute() / "shards"
        self.fetched = Fetched(self.folder, int(cache_gb * 1e9))
        self.indexed = {} if index is None else read_index(index)
        if index is not None and not self.indexed.keys() & set(map(place, self.shards)):
            raise ValueError(f"the index {index} names none of the shards: correct its URLs, or leave it out to count")

    def prepare_data(self) -> None:
        """Count the samples of the shards that are not in the index, and remember them."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"no cache in {self.folder} ({one_line(error)}): cache= or GANZOO_CACHE moves it") from error
        names = [name for name in self.shards + self.val_shards if not self._known(name)]
        say = f"counting the samples of {len(names):,} shards, once"
        with ThreadPoolExecutor(min(READERS, GENERATIONS * self.lanes * self.mix)) as pool:  # there is room for so many
            counts = pool.map(self._count, names)
            for _ in track(counts, say, len(names), console=Console(stderr=True), transient=True, disable=not names):
                pass

    def splits(self) -> tuple[ShardSamples, Samples | None]:
        train = self._samples(self.shards, self.lanes * self.mix)
        return train, self._samples(self.val_shards, 1) if self.val_shards else None

    def stream(self, batch: int, device: torch.device, **place: Any) -> Stream:
        """Read by the host: a set for which shards are made does not live on the device. A round of one rank, all its
        minibatches, comes from one lane: several devices see other minibatches than one."""
        place["minibatches"] = 1
        return ShardStream(self.train, batch, lanes=self.lanes, mix=self.mix, flip=self.flip, **place)

    def _samples(self, names: list[str], keep_open: int) -> ShardSamples:
        counts = []
        for name in names:
            if (count := self._known(name)) is None:
                raise ValueError(f"the samples of {name} are not counted yet: call prepare_data() first")
            counts.append(count)
        sizes = sorted((count.size for name, count in zip(names, counts, strict=True) if remote(name)), reverse=True)
        if (least := sum(sizes[: GENERATIONS * keep_open])) > self.fetched.most:
            many = f"{min(GENERATIONS * keep_open, len(sizes))} shards, {least / 1e9:.3g} GB, are in use at once"
            raise ValueError(f"{many}, more than cache_gb = {self.fetched.most / 1e9:g}: raise it, or lower lanes or mix")
        numbers = [count.samples for count in counts]
        return ShardSamples(names, numbers, self.decoder, self.classes, self.fetched, keep_open, self.max_unreadable)

    def _known(self, name: str) -> Count | None:
        """From the index, or from when it was counted."""
        if place(name) in self.indexed:
            return self.indexed[place(name)]
        record = self._record(name)
        return Count(*json.loads(record.read_text())) if record.exists() else None

    def _count(self, name: str) -> None:
        shard = opened(name, self.classes, self.fetched)
        with replacing(self._record(name)) as file:
            file.write(json.dumps(Count(len(shard.names), shard.size)).encode())

    def _record(self, name: str) -> Path:
        """The file that remembers the count: another one for a local shard that has changed."""
        stat = None if remote(name) else os.stat(place(name))
        key = json.dumps([place(name), *([stat.st_size, stat.st_mtime_ns] if stat else [])])
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def read_index(path: str) -> dict[str, Count]:
    """The counts above 0 in a wids index, by `place`; its relative URLs are seen from where it lies.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none.
    """
    from webdataset.gopen import gopen  # here, because webdataset is an extra

    folder = place(path).rpartition("/")[0]
    try:
        with gopen(path if remote(path) else place(path)) as file:
            shards = json.loads(file.read())["shardlist"]
        urls = [each["url"] if remote(each["url"]) else os.path.join(folder, each["url"]) for each in shards]
        counts = [Count(int(each["nsamples"]), int(each.get("filesize", 0))) for each in shards]
    except OSError as error:
        raise OSError(f"the index {path} cannot be read: {why(error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        like = '{"shardlist": [{"url": ..., "nsamples": ...}]}'
        raise ValueError(f"{path} is no index like {like} ({one_line(error)}): leave it out to count") from error
    return {place(url): count for url, count in zip(urls, counts, strict=True) if count.samples > 0}
