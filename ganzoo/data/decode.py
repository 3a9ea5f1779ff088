"""Image files of any kind, in a folder or a .zip, decoded once into a memory-mapped cache."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO
from uuid import uuid4
from zipfile import BadZipFile, ZipFile

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from ganzoo.data.base import at_least, one_line

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif")
MAX_PIXELS = 100_000_000  # of one image: more is taken for a decompression bomb
MAX_BYTES = 1 << 29  # of one file, so that a zip of zeros cannot fill the memory either
CHUNK = 256  # images decoded before they are written: bounds the memory
DECODER_VERSION = 1  # raise it when `Decoder` gives other pixels: old caches are then left alone

Stamp = tuple[int, int]  # bytes, and the time of the last change [ns] or a zip member's CRC


class Files:
    """The image files below `root`, a folder or a .zip: `stamps` maps their names to what shows that one has changed.

    Names are relative, "/" between folders, sorted, without the folders that all share.

    Raises:
        FileNotFoundError: `root` does not exist or holds no images.
        ValueError: `root` is a file but no .zip, or a broken one.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().absolute()
        if not self.root.exists():
            raise FileNotFoundError(f"{self.root} does not exist: expected a folder or a .zip of images")
        found = {name: stamp for name, stamp in self._list() if is_image(name)}
        if not found:
            raise FileNotFoundError(f"no images in {self.root}: expected files that end in {' '.join(SUFFIXES)}")
        self.prefix = shared_folders(list(found))
        self.stamps: dict[str, Stamp] = {name.removeprefix(self.prefix): found[name] for name in sorted(found)}

    def __len__(self) -> int:
        return len(self.stamps)

    def only(self, names: list[str]) -> "Files":
        """These files alone, in this order; one that does not exist stays in the list and cannot be read."""
        files = copy(self)
        files.stamps = {name: self.stamps.get(name, (0, 0)) for name in names}
        return files

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], bytes]]:
        """Reads a file by its name, from any thread."""
        if self.root.is_dir():
            yield lambda name: (self.root / self.prefix / name).read_bytes()
            return
        lock = Lock()  # a ZipFile counts its readers without one
        with ZipFile(self.root) as archive:

            def read(name: str) -> bytes:
                with lock:
                    return archive.read(self.prefix + name)

            yield read

    def _list(self) -> Iterator[tuple[str, Stamp]]:
        if self.root.is_dir():
            yield from walk(self.root, "", frozenset())
            return
        try:
            with ZipFile(self.root) as archive:
                yield from ((info.filename, (info.file_size, info.CRC)) for info in archive.infolist())
        except BadZipFile as error:
            raise ValueError(f"{self.root} is not a folder and not a whole .zip ({one_line(error)})") from error


@dataclass(frozen=True)
class Decoder:
    """Bytes of an image file -> uint8 [channels, size, size]; see ImageFolder for what becomes of odd images.

    Raises:
        ValueError: channels other than 1 or 3, size or crop below 1.
    """

    size: int
    channels: int
    crop: int | None

    def __post_init__(self) -> None:
        at_least(1, size=self.size, **({} if self.crop is None else {"crop": self.crop}))
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (colour), not {self.channels}")

    def __call__(self, data: bytes) -> np.ndarray:
        """Raises whatever Pillow raises for bytes that are no image, and ValueError for an image that is refused."""
        with Image.open(BytesIO(data)) as image:  # reads the header only
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels, more than {MAX_PIXELS // 10**6} megapixels")
            ImageOps.exif_transpose(image, in_place=True)
            plain = flattened(eight_bit(image)).convert("RGB" if self.channels == 3 else "L")
        side = min(plain.width, plain.height, self.crop or plain.width)
        left, top = (plain.width - side) // 2, (plain.height - side) // 2
        centre = plain.crop((left, top, left + side, top + side))
        small = centre.resize((self.size, self.size), Image.Resampling.LANCZOS)
        return np.asarray(small).reshape(self.size, self.size, self.channels).transpose(2, 0, 1)


class ImageSet:
    """Image files and their cache: `pixels`, an .npy file uint8 [M, C, size, size], and an index in JSON beside it.

    The index is written last, and both appear whole or not at all: several runs may decode the same set at once. Their
    name is a hash of every file's name and stamp and of the decoder, so a changed file means another cache.
    """

    def __init__(self, files: Files, decoder: Decoder, cache: str | None, max_unreadable: float) -> None:
        if not 0 <= max_unreadable <= 1:
            raise ValueError(f"max_unreadable is a share between 0 and 1, not {max_unreadable}")
        self.files, self.decoder, self.max_unreadable = files, decoder, max_unreadable
        key = json.dumps([DECODER_VERSION, decoder.crop, decoder.size, decoder.channels, *files.stamps.items()])
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
            if rows != len(index["names"]):
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
        """The pixels, or why there are none. Raises OSError if the disk is to blame: the cache must not recall that."""
        try:
            if self.files.stamps[name][0] > MAX_BYTES:
                return f"more than {MAX_BYTES >> 20} MiB"
            return self.decoder(read(name))
        except (FileNotFoundError, KeyError):
            return "missing"
        except UnidentifiedImageError:
            return "not an image"
        except Exception as error:  # OSError, SyntaxError, struct.error, zlib.error ...: the bytes choose
            if isinstance(error, OSError) and error.errno:  # Pillow's own have no number
                raise
            return one_line(error)


def is_image(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return name.lower().endswith(SUFFIXES) and not hidden


def shared_folders(names: list[str]) -> str:
    """The folders that all names begin with, such as "" or "data/train/"."""
    folders = [name.split("/")[:-1] for name in names]
    pairs = zip(min(folders), max(folders), strict=False)  # what the first and the last share, all share
    return "".join(f"{one}/" for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def walk(folder: Path, prefix: str, above: frozenset[str]) -> Iterator[tuple[str, Stamp]]:
    """Every file below `folder`, links followed: its name behind `prefix`, and its stamp."""
    here = os.path.realpath(folder)
    if here in above:  # a link back up
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from walk(Path(entry.path), f"{prefix}{entry.name}/", above | {here})
            elif entry.is_file():
                stat = entry.stat()
                yield prefix + entry.name, (stat.st_size, stat.st_mtime_ns)
            elif entry.is_symlink():
                yield prefix + entry.name, (0, 0)  # a dead link: found, and then unreadable


def eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits, where Pillow would clip it; others as they are.

    Raises:
        ValueError: pixels that are floats or wider than 16 bits, whose white is not known.
    """
    if image.mode != "I" and image.mode != "F" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels of 32 bits, whose white is not known")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def flattened(image: Image.Image) -> Image.Image:
    """Laid on white where it is transparent."""
    if not image.has_transparency_data:
        return image
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours)


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
