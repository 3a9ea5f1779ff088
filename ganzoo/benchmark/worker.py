"""One run of a benchmark in a process of its own: python -m ganzoo.benchmark.worker OUT NAME [OPTIONS OF ganzoo fit]."""

import os
import sys
from pathlib import Path

from filelock import Timeout

from ganzoo.__main__ import main
from ganzoo.benchmark.folder import DAMAGED, DONE, Folder

TAKEN = 75  # exit status: another process is at this run (sysexits.h: try again later)


def work(out: Path, name: str, options: list[str]) -> int:
    """Begin the run, or go on with it from its latest checkpoint; nothing if it is done. An exit status."""
    folder = Folder(out)
    if "LOCAL_RANK" in os.environ:  # a further process of a run on several devices: the first one holds the lock
        fit(folder, name, options)
        return 0
    try:
        with folder.lock(name):
            state = folder.state(name)
            if state == DAMAGED:
                print(f"{out / name} is damaged: it is kept as {folder.set_aside(name).name}, and the run begins anew")
            if state != DONE:
                fit(folder, name, options)
    except Timeout:
        return TAKEN
    return 0


def fit(folder: Folder, name: str, options: list[str]) -> None:
    resumed = ["--ckpt_path", "last"] if folder.begun(name) else []
    of = ["--config", str(folder.config(name)), "--runs", str(folder.path), "--rollbacks", "0"]  # divergence is a result
    main(["fit", *of, *resumed, *options])


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
