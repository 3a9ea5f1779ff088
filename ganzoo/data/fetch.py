"""Remote files, fetched once, in a folder that takes no more disk than it may."""

import hashlib
import os
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path

from filelock import FileLock

from ganzoo.data.base import one_line
from ganzoo.data.cache import replacing

ROOM = "room.lock"  # held while files are deleted or grow
CHUNK = 16 << 20  # bytes fetched before the room is looked at again
ABANDONED_SECONDS = 3600  # a part of a file that has not grown for so long: the process that fetched it is gone


class Fetched:
    """Local copies of remote files; those used least recently are deleted to keep within `most` bytes.

    Threads and processes may share the folder: one of them fetches a file while the others wait for it, and it appears
    whole or not at all. A file may be deleted while it is read: on POSIX it lives on until it is closed.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most

    def open(self, url: str) -> FileIO:
        """The local copy, fetched if it is not there.

        Raises:
            OSError: it cannot be fetched.
            ValueError: it is larger than there may be room for.
        """
        path = self._path(url)
        while True:  # until it is open: another process may delete it just before
            with suppress(FileNotFoundError):
                file = FileIO(path)
                os.utime(file.fileno())  # used now
                return file
            with FileLock(path.with_suffix(".lock")):
                if not path.exists():
                    self._fetch(url, path)

    def files(self) -> list[tuple[float, int, Path]]:
        """When each file was last used, its bytes, and its path; the least recently used first."""
        while True:
            with suppress(FileNotFoundError):  # one got its name since they were listed, or was deleted
                listed = [(path.stat(), path) for path in self.folder.glob("*.tar*")]
                return sorted((stat.st_mtime, stat.st_size, path) for stat, path in listed)

    def forget(self, url: str) -> None:
        self._path(url).unlink(missing_ok=True)

    def _path(self, url: str) -> Path:
        return self.folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.tar"

    def _fetch(self, url: str, path: Path) -> None:
        from webdataset.gopen import gopen  # here, because webdataset is an extra

        try:
            with replacing(path) as file, gopen(url) as stream:
                while chunk := stream.read(CHUNK):
                    with FileLock(self.folder / ROOM):  # or two would take the same room
                        self._make_room(len(chunk), Path(file.name), url)
                        file.write(chunk)
                        file.flush()
        except OSError as error:
            raise OSError(f"cannot fetch {url}: {why(error)}") from error

    def _make_room(self, size: int, growing: Path, url: str) -> None:
        """Delete files, the least recently used first, until `size` more bytes are allowed."""
        files = self.files()
        total = size + sum(length for _, length, _ in files)
        for used, length, path in files:
            unfinished = path.name.startswith(".") and time.time() - used < ABANDONED_SECONDS
            if total > self.most and path != growing and not unfinished:
                path.unlink(missing_ok=True)
                total -= length
        if total > self.most:
            raise ValueError(f"no room for {url} within cache_gb = {self.most / 1e9:g}: raise it")


def why(error: OSError) -> str:
    """In one line; gopen's own errors, of a program that failed, have no number and print all its arguments."""
    return one_line(error) if error.errno else "is it there, and can it be reached from here?"
