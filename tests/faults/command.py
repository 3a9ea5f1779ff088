"""The command line in processes of its own, which tests kill, starve and lie to."""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ganzoo.__main__ import main

TINY = [  # a run of a few milliseconds a round
    *("--model", "DCGAN", "--data", "Digits", "--data.batch_size", "8", "--trainer.accelerator", "cpu"),
    *("--model.generator", "DCGANGenerator", "--model.generator.width", "4"),
    *("--model.discriminator", "DCGANDiscriminator", "--model.discriminator.width", "4"),
]


def started(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`ganzoo ARGUMENTS` in `folder`, one thread, a session of its own so that all of it can be killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "ganzoo", *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str], timeout: float = 120) -> tuple[int, str, str]:
    """Its exit status, what it printed, and its errors; killed if it takes longer."""
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        raise
    return process.returncode, output, errors


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    return ended(started(folder, *arguments, **environment))


def forked(folder: Path, *arguments: str, sabotage: Callable[[], None] | None = None) -> tuple[int, str]:
    """As `run`, but a fork of this process, which has imported everything: its status (-9 if it was killed) and all it said.

    Args:
        sabotage: done in the fork before the command.
    """
    said = folder / "said.txt"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            os.chdir(folder)
            to = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(to, 1), os.dup2(to, 2)
            sys.stdout = sys.__stdout__ = os.fdopen(1, "w", 1, closefd=False)
            sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, closefd=False)
            torch.set_num_threads(1)
            for kind in (signal.SIGINT, signal.SIGTERM):
                signal.signal(kind, signal.default_int_handler if kind == signal.SIGINT else signal.SIG_DFL)
            if sabotage:
                sabotage()
            main(list(arguments))
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.read_text()


def at_call(target: str, number: int, act: Callable[[], Any]) -> None:
    """Have `act` called when the function `module:name` or `module:Class.name` is called for the number-th time."""
    module, _, name = target.partition(":")
    owner: Any = import_module(module)
    *above, name = name.split(".")
    for part in above:
        owner = getattr(owner, part)
    was, calls = getattr(owner, name), []

    def sabotaged(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        if len(calls) == number:
            act()
        return was(*args, **kwargs)

    setattr(owner, name, sabotaged)


def kill_at(target: str, number: int) -> Callable[[], None]:
    return lambda: at_call(target, number, lambda: os.kill(os.getpid(), signal.SIGKILL))


def signal_at(target: str, number: int, signum: int) -> Callable[[], None]:
    return lambda: at_call(target, number, lambda: os.kill(os.getpid(), signum))
