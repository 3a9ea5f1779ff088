"""Runs in processes of their own, on one device in turn or on several at once."""

import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ganzoo.benchmark.folder import BUSY, DONE, Folder
from ganzoo.benchmark.worker import TAKEN
from ganzoo.tune.runs import last_words

AGAIN_SECONDS = 5.0  # between two looks at what another process is doing


@dataclass(frozen=True)
class Place:
    """Where one run at a time is played.

    Args:
        device: `cpu`, or a GPU as in `cuda:0`.
        threads: of the CPU.
    """

    device: str
    threads: int

    def environment(self) -> dict[str, str]:
        there = {"OMP_NUM_THREADS": str(self.threads), "PYTHONUNBUFFERED": "1"}
        _, colon, index = self.device.partition(":")
        return there | ({"CUDA_VISIBLE_DEVICES": index} if colon else {})

    def options(self) -> list[str]:
        return ["--trainer.accelerator", "cpu" if self.device == "cpu" else "gpu"]


def places(devices: Sequence[str]) -> list[Place]:
    """One for each device named; `cpu` named twice, or a GPU, takes two runs at once. All GPUs, or up to four runs on the CPU,
    if none is named. They share the cores evenly, so that none is idle: `cpu` named once has all.

    Raises:
        ValueError: a device that there is not.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = torch.cuda.device_count()
    if not devices:
        devices = [f"cuda:{i}" for i in range(gpus)] or ["cpu"] * min(cores, 4)
    for device in devices:
        index = re.fullmatch(r"cuda:(\d+)", device)
        if device != "cpu" and not (index and int(index[1]) < gpus):
            there = ", ".join(["cpu", *(f"cuda:{i}" for i in range(gpus))])
            raise ValueError(f"--devices {device} is not here: {there}")
    return [Place(device, max(1, cores // len(devices))) for device in devices]


def launch(folder: Folder, name: str, place: Place | None) -> subprocess.Popen[bytes]:
    """A process that plays the run; what it says goes to the run's log. Without a place, wherever it happens to be."""
    folder.log(name).parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ganzoo.benchmark.worker", str(folder.path), name, *(place.options() if place else [])]
    environment = os.environ | (place.environment() if place else {})
    with folder.log(name).open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


class Local:
    """Plays runs on this machine's places, as many at once as there are.

    Args:
        ended: what to say of a run that has come to its end, by its name.
    """

    def __init__(
        self,
        folder: Folder,
        places: Sequence[Place],
        console: Console,
        ended: Callable[[str], str] = str,
    ) -> None:
        self.folder, self.places, self.console, self.ended = folder, places, console, ended
        self.waiting: deque[str] = deque()
        self.taken: list[str] = []  # by another process
        self.failures: dict[str, str] = {}
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def __call__(self, names: Sequence[str]) -> dict[str, str]:
        """Returns when all runs are done or have failed: why they did."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.waiting.extend(names)
        self.told, self.n = 0, len(names)
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as self.bars:
            self.all = self.bars.add_task("runs", total=len(names))
            try:
                while self.waiting:
                    threads = [threading.Thread(target=self._play_on, args=(place,), daemon=True) for place in self.places]
                    for thread in threads:
                        thread.start()
                    while any(thread.is_alive() for thread in threads):
                        time.sleep(0.2)  # where Ctrl-C is noticed
                    self._look_after_others()
            finally:
                self._stop()
        return self.failures

    def _play_on(self, place: Place) -> None:
        while True:
            with self._lock:
                if self._stopped or not self.waiting:
                    return
                name = self.waiting.popleft()
                process = launch(self.folder, name, place)
                self._processes.add(process)
            self._follow(name, process)

    def _follow(self, name: str, process: subprocess.Popen[bytes]) -> None:
        bar = self.bars.add_task(f"  {name}", total=None)
        while process.poll() is None:
            self._show(bar, name)
            time.sleep(0.2)
        self.bars.remove_task(bar)
        with self._lock:
            self._processes.discard(process)
            if self._stopped:
                return
            state = self.folder.state(name)
            if process.returncode == TAKEN or state == BUSY:
                self.taken.append(name)
                return
            if state != DONE:
                self.failures[name] = last_words(self.folder.log(name))
        self._tell(name)

    def _tell(self, name: str) -> None:
        failed = self.failures.get(name)
        what = f"failed: {failed} ({self.folder.log(name)})" if failed else self.ended(name)
        with self._lock:
            self.bars.advance(self.all)
            self.told += 1
            line = f"{self.told} of {self.n}  {name}: {what}"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _show(self, bar: TaskID, name: str) -> None:
        """How far a run is, by the latest line of its progress in the log."""
        if not self.console.is_terminal or not self.folder.log(name).is_file():
            return
        with self.folder.log(name).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4000))
            told = re.findall(rb"step (\d+)/(\d+)", log.read())
        if told:
            self.bars.update(bar, completed=int(told[-1][0]), total=int(told[-1][1]))

    def _look_after_others(self) -> None:
        """Wait for runs that another process has taken; those that it gives up are played here."""
        if not self.taken:
            return
        runs = f"{len(self.taken)} runs" if len(self.taken) > 1 else self.taken[0]
        self.console.print(f"waiting for {runs}, under way in another process", highlight=False)
        while self.taken and not self.waiting:
            for name in list(self.taken):
                state = self.folder.state(name)
                if state == BUSY:
                    continue
                self.taken.remove(name)
                if state == DONE:
                    self._tell(name)
                else:
                    self.waiting.append(name)
            if self.taken and not self.waiting:
                time.sleep(AGAIN_SECONDS)

    def _stop(self) -> None:
        """End what is under way: a run that is played again goes on from its latest checkpoint."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.kill()
            for process in self._processes:
                process.wait()
