"""The folder of a benchmark: what of its runs is there, and who is at work on which.

OUT/configs/NAME.yaml              of `ganzoo fit`
OUT/NAME/version_0                 a run
OUT/logs/NAME.log                  what it said
OUT/locks/NAME                     held while it runs
"""

from dataclasses import dataclass
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from ganzoo.benchmark.results import Result, cost_of, curves
from ganzoo.benchmark.suite import Run, difference
from ganzoo.data.cache import replacing
from ganzoo.run_folder import versions

DONE, RESUME, BUSY, DAMAGED, NEW = "done", "to resume", "under way elsewhere", "damaged", "to do"


@dataclass(frozen=True)
class Folder:
    """Of a benchmark; `path` is made when something is written into it."""

    path: Path

    def config(self, name: str) -> Path:
        return self.path / "configs" / f"{name}.yaml"

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def lock(self, name: str) -> FileLock:
        """To be held while the run is under way; the system frees it however its holder ends."""
        path = self.path / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path, timeout=0, thread_local=False)

    def state(self, name: str) -> str:
        """DONE (which a run that diverged is too), BUSY, RESUME, DAMAGED or NEW."""
        of = self.path / name
        try:
            if cost_of(of) is not None:
                curves(versions(of))
                return DONE
        except ValueError:
            return DAMAGED
        if self.busy(name):
            return BUSY
        return RESUME if self.begun(name) else NEW

    def busy(self, name: str) -> bool:
        if not (self.path / "locks" / name).exists():
            return False
        try:
            with self.lock(name):
                return False
        except Timeout:
            return True

    def begun(self, name: str) -> bool:
        """Whether there is a checkpoint to go on from."""
        return any((self.path / name).glob("version_*/checkpoints/*.ckpt"))

    def refuse_others(self, runs: list[Run]) -> None:
        """Raise ValueError, in one line, if runs that have begun here have other settings than the suite now says."""
        for run in runs:
            if self.state(run.name) == NEW or not self.config(run.name).is_file():
                continue
            if found := difference(run.config, yaml.safe_load(self.config(run.name).read_text())):
                option, wanted, had = found
                raise ValueError(
                    f"{self.path / run.name} was run with {option} {had}, and the suite now says {wanted}: choose another "
                    "--out, or --table for a table of what is there, or take that folder away"
                )

    def write(self, runs: list[Run]) -> None:
        """The configs of those that are to be run."""
        self.config("any").parent.mkdir(parents=True, exist_ok=True)
        for run in runs:
            if self.state(run.name) not in (DONE, BUSY) or not self.config(run.name).is_file():
                with replacing(self.config(run.name)) as file:
                    file.write(yaml.safe_dump(run.config, sort_keys=False).encode())

    def set_aside(self, name: str) -> Path:
        """A damaged run, under another name: nothing of it is lost."""
        taken = len(list(self.path.glob(f"{name}.damaged*")))
        return (self.path / name).rename(self.path / f"{name}.damaged-{taken}")

    def result(self, run: Run) -> Result | None:
        """Of a run that has come to its end."""
        if self.state(run.name) != DONE:
            return None
        parts = versions(self.path / run.name)
        cost = cost_of(self.path / run.name)
        assert cost is not None  # since it is done
        pictures = {path.name: path for part in parts for path in part.glob("samples/*.png")}
        config = yaml.safe_load(self.config(run.name).read_text())
        return Result(
            run.name,
            run.variant,
            run.data,
            run.seed,
            cost,
            curves(parts),
            config,
            [pictures[name] for name in sorted(pictures)],
        )
