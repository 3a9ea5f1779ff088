"""Memory, open files and threads of one long run with everything on: they must not grow with the rounds.

    python benchmarks/flat.py --steps 20000

The run is soak.py's. Linux only: the numbers are those of /proc.
"""

import argparse
import os
import tempfile
import threading
from pathlib import Path

import lightning as L
import torch
from soak import RUN

from ganzoo.__main__ import main


class Account(L.Callback):
    """Prints a row at the start and every `every` rounds."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        if trainer.global_step in (200, 1000) or trainer.global_step % self.every == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            files = len(os.listdir("/proc/self/fd"))
            megabytes = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            counts = f"{files:4} files {threading.active_count():3} threads"
            print(f"{trainer.global_step:6,} {megabytes:8.1f} MB {counts}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        every = ["--trainer.callbacks", "flat.Account", "--trainer.callbacks.every", "2000"]
        main([*RUN, "--trainer.max_steps", str(given.steps), *every])
