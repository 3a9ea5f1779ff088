"""Images decoded once into a memory-mapped cache."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from PIL import UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from ganzoo.data.base import one_line
from ganzoo.data.decode import Decoder
from ganzoo.data.files import ABSENT, Files

MAX_BYTES = 1 << 29  # of one file, so that a zip of zeros cannot fill the memory either
CHUNK = 256  # images decoded before they are written: bounds the memory
DECODER_VERSION = 1  # raise it when `Decoder` gives other pixels: old caches are then left alone


class ImageSet:
    """Image files and their cache: `pixels`, an .npy file uint8 [M, C, size, size], and an index in JSON beside it.

    The index is written last, and both appear whole or not at all: several runs may decode the same set at once. Their
    name is a hash of every file's name and stamp, of a few files' content and of the decoder, so a changed file means another
    cache, and the same files in another place do not.
    """

    def __init__(self, files: Files, decoder: Decoder, cache: str | None, max_unreadable: float) -> None:
        if not 0 <= max_unreadable <= 1:
            raise ValueError(f"max_unreadable is a share between 0 and 1, not {max_unreadable}")
        self.files, self.decoder, self.max_unreadable = files, decoder, max_unreadable
        key = json.dumps([DECODER_VERSION, *decoder.key, *files.stamps.items(), *files.some_content()])
        folder = Path(cache).expanduser() if cache else default_cache()
        self.pixels = folder.absolute() / f"{hashlib.sha256(key.encode()).hexdigest()}.npy"

    def decode(self) -> None:
        """Fill the cache, unless that is done; unreadable images are left out and named in the index."""
        if self.pixels.exists() and self._index_path().exists():
            return
        try:
            self.pixels.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.pixels) as file:
                index = self._write(file)
            with replacing(self._index_path()) as file:
                file.write(json.dumps(index).encode())
        except OSError as error:
            where = f"{self.files.root} into {self.pixels.parent}"
            raise ValueError(f"cannot decode {where} ({one_line(error)}): cache= or GANZOO_CACHE moves it") from error

    def index(self) -> dict[str, Any]:
        """`names` of the images in the cache, in order; `unreadable` maps the names of the others to why.

        Raises:
            ValueError: no cache or a damaged one; nothing, or less than `max_unreadable` allows, could be read.
        """
        try:
            index = json.loads(self._index_path().read_bytes())
            rows = len(np.load(self.pixels, mmap_mode="r", allow_pickle=False))
            if rows != self._rows(index):
                raise ValueError(f"{rows} images, {len(index['names'])} names")
        except FileNotFoundError:
            raise ValueError(f"{self.files.root} is not decoded yet: call prepare_data() first") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"the image cache {self.pixels} is damaged ({one_line(error)}): delete it") from error
        share = len(index["unreadable"]) / len(self.files)
        if share == 1 or share > self.max_unreadable:
            limit = f"max_unreadable is {self.max_unreadable:.2%}"
            raise ValueError(f"{self._summary(index)}; {limit}: repair or remove them")
        return index

    def report(self) -> None:
        """Warn, in one line, of the images that are skipped; raises as `index` does."""
        if (index := self.index())["unreadable"]:
            rank_zero_warn(f"skipped: {self._summary(index)}")

    def _rows(self, index: dict[str, Any]) -> int:
        """Of the array that goes with the index."""
        return len(index["names"])

    def _index_path(self) -> Path:
        return self.pixels.with_suffix(".json")

    def _summary(self, index: dict[str, Any]) -> str:
        reasons = [f"{name} ({why})" for name, why in index["unreadable"].items()]
        first = ", ".join([*reasons[:3], *(["..."] if len(reasons) > 3 else [])])
        count = f"{len(reasons):,} of {len(self.files):,} images ({len(reasons) / len(self.files):.2%})"
        return f"{count} in {self.files.root} cannot be read: {first}"

    def _write(self, file: BinaryIO) -> dict[str, Any]:
        """Decode everything into `file`; returns the index."""
        names: list[str] = []
        unreadable: dict[str, str] = {}
        self._write_header(file, 0)  # and no memory map: on a full disk a write raises, a mapped page kills the process
        for name, pixels in self._decoded():
            if isinstance(pixels, str):
                unreadable[name] = pixels
            else:
                file.write(pixels.tobytes())
                names.append(name)
        file.seek(0)
        self._write_header(file, len(names))  # of the same length: NumPy leaves room for the number to grow
        return {"names": names, "unreadable": unreadable}

    def _write_header(self, file: BinaryIO, rows: int) -> None:
        shape = (rows, self.decoder.channels, self.decoder.size, self.decoder.size)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})

    def _decoded(self) -> Iterator[tuple[str, np.ndarray | str]]:
        """Every file's name with its pixels, or with why there are none, in order."""
        names = list(self.files.stamps)
        chunks = [names[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
        say = f"decoding {len(names):,} images, once, into {self.pixels.parent}"
        with self.files.reader() as read, ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, which name no file
            decode = partial(self._attempt, read)
            for chunk in track(chunks, say, console=Console(stderr=True), transient=True):
                yield from zip(chunk, pool.map(decode, chunk), strict=True)

    def _attempt(self, read: Callable[[str], bytes], name: str) -> np.ndarray | str:
        """The pixels, or why there are none.

        Raises:
            OSError: the disk is to blame, or whoever took away a file that was there: the cache must not recall that.
        """
        try:
            if self.files.stamps[name][0] > MAX_BYTES:
                return f"more than {MAX_BYTES >> 20} MiB"
            return self.decoder(read(name))
        except (FileNotFoundError, KeyError):
            if self.files.stamps[name] != ABSENT:
                raise FileNotFoundError(f"{name} was there, and has gone meanwhile") from None
            return "missing"
        except UnidentifiedImageError:
            return "not an image"
        except Exception as error:  # OSError, SyntaxError, struct.error, zlib.error ...: the bytes choose
            if isinstance(error, OSError) and error.errno:  # Pillow's own have no number
                raise
            return one_line(error)


def default_cache() -> Path:
    """$GANZOO_CACHE, or $XDG_CACHE_HOME/ganzoo, or ~/.cache/ganzoo."""
    if chosen := os.environ.get("GANZOO_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ganzoo"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at `path` whole or not at all; an older one is replaced."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
