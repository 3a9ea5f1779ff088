"""Image files of any kind, in a folder or a .zip: which there are, and their bytes."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from itertools import takewhile
from pathlib import Path
from threading import Lock
from zipfile import BadZipFile, ZipFile

from ganzoo.data.base import one_line

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif")

LOOKED_INTO = 16  # files of a folder, at most

Stamp = tuple[int, int]  # bytes, and the time of the last change [ns] or a zip member's CRC
ABSENT: Stamp = (0, 0)  # of a file that is named but not there


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
        files.stamps = {name: self.stamps.get(name, ABSENT) for name in names}
        return files

    def some_content(self) -> list[str]:
        """Hashes of a few files in a folder, whose stamps may be those of another's of the same names. A zip's hold CRCs."""
        if not self.root.is_dir():
            return []
        hashes = []
        with self.reader() as read:
            for name in list(self.stamps)[:: len(self) // LOOKED_INTO + 1]:
                with suppress(OSError):  # decoding says which cannot be read
                    hashes.append(hashlib.sha256(read(name)).hexdigest())
        return hashes

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
                yield prefix + entry.name, ABSENT  # a dead link: found, and then unreadable
