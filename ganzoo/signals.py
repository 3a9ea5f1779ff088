"""What SIGTERM, Ctrl-C and SLURM's requeue signal do to a run: it is saved at the end of its round."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

INTERRUPTED = 130  # exit status of what Ctrl-C has ended


class Stopped(SystemExit):
    """A run that was told to stop, and has been saved: the process ends with the status that the signal stands for."""

    def __init__(self, signum: int, step: int) -> None:
        self.status = 0 if signum == signal.SIGUSR1 else 128 + signum  # a job that will be started again has not failed
        super().__init__(self.status)
        self.line = f"{signal.Signals(signum).name}: stopped after round {step:,}; the same command goes on from there"


class Signals:
    """Takes note of signals between `listen` and `rest`; on several devices all ranks learn of one that any of them got.

    A second Ctrl-C ends the process at once. Under SLURM its requeue signal, SIGUSR1, has the job started again.
    """

    def __init__(self) -> None:
        self.received = 0
        self._listening = self._interruptible = False
        self._before: dict[int, Any] = {}
        self._group: Any = None
        self._asked: tuple[torch.Tensor, Any] | None = None

    def listen(self) -> None:
        """On all ranks at once; nothing if that has been done."""
        if self._listening:
            return
        self._listening, self.received = True, 0
        if dist.is_initialized() and dist.get_world_size() > 1:
            self._group = dist.new_group(backend="gloo")  # of the hosts, so that no device is waited for
        if threading.current_thread() is threading.main_thread():
            kinds = [signal.SIGTERM, signal.SIGINT, *([signal.SIGUSR1] if "SLURM_JOB_ID" in os.environ else [])]
            self._before = {kind: signal.signal(kind, self._hear) for kind in kinds}

    def rest(self) -> None:
        """As before `listen`. After an error a rank may be gone: nobody is waited for."""
        for kind, handler in self._before.items():
            signal.signal(kind, handler)
        self._before, self._listening, self._asked = {}, False, None

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        if self.received and signum == signal.SIGINT:
            say("stopped at once; the latest checkpoint is as it was")
            os._exit(INTERRUPTED)
        self.received = signum
        if self._interruptible:
            raise Interruption
        again = "; Ctrl-C once more stops at once" if signum == signal.SIGINT else ""
        say(f"{signal.Signals(signum).name}: saving at the end of this round{again}")

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """What is done inside, which changes nothing in the game, is broken off by a signal. Not on several devices: those
        that hear of none would wait for the others."""
        self._interruptible = self._group is None
        try:
            yield
        finally:
            self._interruptible = False

    def agreed(self) -> int:
        """The signal on which all ranks stop, 0 if there is none. On several devices they learn of it a round later, so
        that none waits for the others in any round."""
        if self._group is None:
            return self.received
        before = self._asked
        mine = torch.tensor(self.received)
        self._asked = mine, dist.all_reduce(mine, dist.ReduceOp.MAX, self._group, async_op=True)
        if before is None:
            return 0
        before[1].wait()
        return int(before[0])


class Interruption(BaseException):
    """A signal that came during what need not be finished."""


def say(what: str) -> None:
    """Straight to the terminal: a signal may come while a buffered stream is being written to."""
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"ganzoo: {what}\n".encode())


def requeue() -> None:
    """Have SLURM start this job again."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]
    if not re.fullmatch(r"[0-9_]+", job):
        raise ValueError(f"{job!r} is no SLURM job")
    subprocess.run(["scontrol", "requeue", job], check=False)
