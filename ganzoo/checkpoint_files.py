"""Checkpoints on disk: whole or not at all, and never able to run code."""

import errno
import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from ganzoo.data.base import one_line
from ganzoo.data.cache import replacing
from ganzoo.loading import read


class CheckpointFiles(CheckpointIO):
    """Writes a checkpoint beside its place, has the disk keep it, reads it back, and only then puts it there.

    Lightning's own goes through TMPDIR: on another file system a full disk took the earlier checkpoint with it.

    Raises:
        OSError: it cannot be written; what was there before still is.
        ValueError: what is to be read is no checkpoint of ganzoo, or damaged.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                torch.save(checkpoint, file)
                file.flush()
                refuse_unreadable(Path(file.name))
            keep_name(path.parent)
        except (OSError, RuntimeError) as error:  # torch's writer makes a RuntimeError of a full disk
            kept = "; the earlier one is still there" if path.exists() else ""
            raise OSError(f"the checkpoint {path} cannot be written ({one_line(error)}){kept}") from error

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        content = read(path)
        if "optimizer_states" not in content:
            raise ValueError(f"{path} holds weights alone: to train on, give a .ckpt file of the run that they are of")
        return content

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def refuse_unreadable(path: Path) -> None:
    """Raise OSError if the file, a zip as torch writes it, does not read back as it was written: each part has its checksum."""
    try:
        with zipfile.ZipFile(path) as parts:
            torn = parts.testzip()
    except zipfile.BadZipFile as error:
        raise OSError(f"it does not read back: {error}") from error
    if torn is not None:
        raise OSError(f"it does not read back: {torn}")


def keep_name(folder: Path) -> None:
    """Have the disk keep the names in a folder too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that syncs no folders
            raise
    finally:
        os.close(handle)


def keep_a_copy(path: Path, copy: Path) -> None:
    """Give a file that is about to be replaced a second name, under which it stays."""
    if path.is_file():
        temporary = copy.with_name(f".{copy.name}")
        temporary.unlink(missing_ok=True)
        try:
            os.link(path, temporary)
        except OSError:  # a file system without links
            return
        os.replace(temporary, copy)
