"""One trial: a run in a process of its own, which may run out of memory or be stopped without harm to the rest."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ganzoo.metrics import stamp
from ganzoo.metrics.stamp import Stamped

CHILD = [sys.executable, "-m", "ganzoo.tune.child"]
PAUSE = 0.5  # seconds between two looks at a run's scores
GRACE = 20.0  # seconds that it has to end by itself


class Terminated(KeyboardInterrupt):
    """SIGTERM, after which all is ended as after Ctrl-C: exit status 143."""


@contextmanager
def terminable() -> Iterator[None]:
    """Inside, SIGTERM raises `Terminated`, so that no run goes on that nobody waits for any more."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: whoever sends it again would disturb the ending
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def status_of(interrupt: KeyboardInterrupt) -> int:
    """A shell's, of a command that SIGTERM or Ctrl-C has ended."""
    return 128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT)


class Outcome(NamedTuple):
    """How a run ended."""

    state: str  # finished, pruned, diverged or failed
    value: float | None = None  # of its last score
    reason: str = ""


def play(arguments: list[str], folder: Path, metric: str, tell: Callable[[int, Stamped], bool]) -> Outcome:
    """Run `ganzoo` with these arguments until it ends, or until `tell`, which hears of score 1, 2, ..., says to stop.

    Args:
        folder: takes the run folder, and all that the run says in `log.txt`.
    """
    command = [*CHILD, *arguments, "--runs", str(folder)]
    with (folder / "log.txt").open("wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    told = 0
    scores: list[Stamped] = []
    try:
        running = True
        while running:
            running = child.poll() is None  # before the last look, not after it
            scores = scores_of(folder, metric)
            while told < len(scores):
                told += 1
                if not math.isfinite(scores[told - 1].value):
                    return Outcome("diverged", None, f"{metric} is not finite")
                if tell(told, scores[told - 1]):
                    return Outcome("pruned", scores[-1].value)
            if running:
                time.sleep(PAUSE)
    finally:
        end(child)
    if child.returncode:
        return Outcome("diverged" if diverged(folder) else "failed", None, last_words(folder / "log.txt"))
    return Outcome("finished", scores[-1].value) if scores else Outcome("failed", None, f"no {metric} was measured")


def end(child: subprocess.Popen[bytes]) -> None:
    """Stop it and the processes that it began, kindly first."""
    for word in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            break
        os.killpg(child.pid, word)
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
    if child.stdin:
        child.stdin.close()


def scores_of(folder: Path, metric: str) -> list[Stamped]:
    paths = sorted(folder.glob("*/version_*/scores.jsonl"))
    return [score for path in paths for score in stamp.read(path) if score.protocol.metric == metric]


def diverged(folder: Path) -> bool:
    """Whether the run's account says so."""
    return any(json.loads(path.read_bytes())["state"] == "diverged" for path in folder.glob("*/version_*/cost.json"))


def last_words(log: Path) -> str:
    """The one line in which a run said what was wrong, or the last that it said."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    said = [line.removeprefix("ganzoo: ") for line in lines if line.startswith("ganzoo: ")]
    return [*(said or lines or ["it was killed without a word"])][-1]
