"""Run folders: RUNS/NAME/version_0, version_1, ... In each at most one process is at work, whose death frees it."""

import errno
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ganzoo.data.cache import replacing
from ganzoo.loading import read
from ganzoo.record import Record, Row

LOCK = ".lock"
FREE = {"runs", "resume", "rollbacks", "ckpt_path"}  # options by which two commands may differ and yet mean the same run


class RunFolder:
    """A run folder that this process is at work in, from `held` or `new` until it ends.

    Args:
        path: the folder.
        hold: the open lock file.
    """

    def __init__(self, path: Path, hold: int) -> None:
        self.path, self._hold = path, hold

    @classmethod
    def held(cls, path: Path) -> "RunFolder | None":
        """The folder, unless another process is at work in it."""
        try:
            hold = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except (PermissionError, FileNotFoundError):  # somebody else's, or its last holder has taken it away
            return None
        try:
            # Not flock, which a DataLoader's worker would inherit, and hold a little longer than the process that was killed.
            fcntl.lockf(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(hold), os.stat(path / LOCK)):  # and not one that its last holder has taken away
                return cls(path, hold)
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.ENOTSUP):  # a file system without locks: nobody can be kept out
                return cls(path, hold)
            if error.errno not in (errno.EACCES, errno.EAGAIN, errno.ENOENT):
                raise
        os.close(hold)
        return None

    @classmethod
    def new(cls, of: Path) -> "RunFolder":
        """The next version of the run, which no other process can take for its own.

        Raises:
            OSError: it cannot be written.
        """
        taken = [number(path) for path in versions(of)]
        for version in count(max(taken, default=-1) + 1):
            path = of / f"version_{version}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                if of.exists() and not of.is_dir():
                    raise
                continue
            if made := cls.held(path):
                return made
        raise AssertionError  # never: versions do not come to an end

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end, which is also that it diverged."""
        return (self.path / "cost.json").exists()

    def write(self, config: str) -> None:
        """config.yaml; an earlier other one is kept beside it."""
        if self.config.is_file() and self.config.read_text() != config:
            self.config.rename(self.path / f"config-{len(list(self.path.glob('config*.yaml')))}.yaml")
        with replacing(self.config) as file:
            file.write(config.encode())

    def newest(self) -> "Saved | None":
        """The checkpoint to go on from: `last.ckpt`, or if that is damaged the latest that is not, with a line."""
        found: list[Saved] = []
        for path in sorted(self.path.glob("checkpoints/*.ckpt"), key=lambda path: path.name != "last.ckpt"):
            try:
                content = read(path)
                measured_at = content.get("callbacks", {}).get("Evaluation", {}).get("measured_at", -1)
                found.append(Saved(int(content["global_step"]), measured_at, path))
            except (ValueError, OSError, KeyError) as error:
                print(f"ganzoo: {error}: going on from an earlier one", file=sys.stderr)
            if found and path.name == "last.ckpt":
                break
        return max(found, default=None)

    def cut(self, step: int, measured_at: int) -> None:
        """Forget what was recorded after this round, and scores after that one: they will be recorded again."""
        Record(self.path).keep(lambda row: int(row["step"] or 0) <= (measured_at if is_scores(row) else step))
        scores = self.path / "scores.jsonl"
        if scores.is_file():
            whole = scores.read_text().split("\n")[:-1]  # the run may have been stopped in the middle of a line
            kept = [line for line in whole if (json.loads(line)["step"] or 0) <= measured_at]
            with replacing(scores) as file:
                file.write("".join(f"{line}\n" for line in kept).encode())
        (self.path / "cost.json").unlink(missing_ok=True)
        for half_written in self.path.rglob(f".*.{'[0-9a-f]' * 32}"):
            half_written.unlink()

    def release(self) -> None:
        """Leave the folder to others; one in which nothing has happened goes."""
        (self.path / LOCK).unlink(missing_ok=True)
        if self.path.is_dir() and {path.name for path in self.path.iterdir()} <= {self.config.name}:
            self.config.unlink(missing_ok=True)
            self.path.rmdir()
        os.close(self._hold)


class Saved(NamedTuple):
    """A checkpoint."""

    step: int
    measured_at: int  # round of the last scores that it knows of
    path: Path


def is_scores(row: Row) -> bool:
    return any(value and name.startswith("score/") for name, value in row.items())


def versions(of: Path) -> list[Path]:
    """version_0, version_1, ... of a run, the latest last."""
    return sorted((path for path in of.glob("version_*") if path.name[8:].isdecimal()), key=number)


def number(version: Path) -> int:
    return int(version.name[8:])


def unfinished(of: Path, config: str) -> RunFolder | None:
    """The latest run of this config that was stopped before its end, and that no process is at work in."""
    for folder in free(of):
        if not folder.finished and folder.config.is_file() and same(folder.config.read_text(), config):
            return folder
        folder.release()
    return None


def latest(of: Path) -> RunFolder:
    """The latest run that has a checkpoint.

    Raises:
        ValueError: there is none, or a process is at work in it.
    """
    with_checkpoints = [path for path in versions(of) if any(path.glob("checkpoints/*.ckpt"))]
    if not with_checkpoints:
        raise ValueError(f"--ckpt_path last: there is no run with a checkpoint in {of}")
    if folder := RunFolder.held(with_checkpoints[-1]):
        return folder
    raise ValueError(f"--ckpt_path last: another process is at work in {with_checkpoints[-1]}")


def free(of: Path) -> Iterator[RunFolder]:
    for path in reversed(versions(of)):
        if folder := RunFolder.held(path):
            yield folder


def same(one: str, other: str) -> bool:
    """Whether two configs mean the same run."""

    def of(config: str) -> dict[str, Any]:
        return {option: value for option, value in (yaml.safe_load(config) or {}).items() if option not in FREE}

    return one == other or of(one) == of(other)
