"""Kills a small run at random moments, again and again, and compares what it ends with to a run that was left alone.

    python benchmarks/soak.py --kills 200 --seed 0

Each time `ganzoo fit` with the same arguments is started in a process of its own, which gets SIGKILL after a random time. The
seconds of importing are saved: the processes are forks of this one. The run has what a run can have: two workers that read
the data, schedules, a weight average, evaluation, the collapse watch, sample grids, a history of weights.
"""

import argparse
import csv
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

from ganzoo.__main__ import main

RUN = [
    *("fit", "--model", "DCGAN", "--data", "Digits", "--data.batch_size", "16", "--data.workers", "2"),
    *("--model.generator", "DCGANGenerator", "--model.generator.width", "8", "--model.discriminator_steps", "2"),
    *("--model.discriminator", "DCGANDiscriminator", "--model.discriminator.width", "8"),
    *("--model.average_decay", "0.99", "--model.instance_noise", "[0.1, 1000]", "--model.historical_averaging", "0.001"),
    *("--trainer.accelerator", "cpu", "--trainer.log_every_n_steps", "10", "--trainer.enable_progress_bar", "false"),
    *("--samples.every_steps", "50", "--watch.every_steps", "25", "--watch.n", "16", "--checkpoints.every_steps", "20"),
    *("--evaluation.every_steps", "60", "--evaluation.extractor", "effnet-lite0", "--evaluation.n", "16"),
    *("--evaluation.metrics", "[kd]", "--evaluation.split", "held_out"),
]
FOLDER = Path("runs/dcgan_digits/version_0")


def begin(folder: Path, arguments: list[str]) -> int:
    """The command in a fork of this process, which says nothing; its process id."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        os.chdir(folder)
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        main(arguments)
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    finally:
        os._exit(0)


def complete(folder: Path, arguments: list[str]) -> float:
    """Run the command to its end: how many seconds that took."""
    since = time.monotonic()
    _, status = os.waitpid(begin(folder, arguments), 0)
    if status:
        sys.exit(f"the run failed: {(folder / 'log.txt').read_text()[-2000:]}")
    return time.monotonic() - since


def content(folder: Path) -> dict:
    """What is compared: the last checkpoint, the curves but for speeds, scores but for the last digits of LAPACK's sums."""
    last = torch.load(folder / FOLDER / "checkpoints" / "last.ckpt", weights_only=True)
    rows = list(csv.DictReader((folder / FOLDER / "metrics.csv").open()))
    scores = [json.loads(line) for line in (folder / FOLDER / "scores.jsonl").read_text().splitlines()]
    return {
        "weights": last["state_dict"],
        "optimizers": last["optimizer_states"],
        "game": last["game"],
        "curves": [{name: digits(name, value) for name, value in row.items() if name != "images_per_second"} for row in rows],
        "scores": [(score["step"], digits("score/", score["value"])) for score in scores],
        "pictures": sorted(path.name for path in (folder / FOLDER / "samples").iterdir()),
    }


def digits(name: str, value: str) -> str:
    return f"{float(value):.9g}" if value and name.startswith("score/") else value


def equal(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(equal, one, other))
    return one == other


def soak(kills: int, steps: int, seed: int) -> None:
    torch.set_num_threads(1)
    random.seed(seed)
    arguments = [*RUN, "--trainer.max_steps", str(steps)]
    with tempfile.TemporaryDirectory() as temporary:
        alone, killed = Path(temporary) / "alone", Path(temporary) / "killed"
        alone.mkdir(), killed.mkdir()
        print(f"alone: {steps:,} rounds in {complete(alone, arguments):.0f} s", flush=True)
        for done in range(kills):
            if done % 20 == 0:  # the machine may have other work at times
                longest = 1.5 * complete(Path(tempfile.mkdtemp(dir=temporary)), [*RUN, "--trainer.max_steps", "20"])
            child = begin(killed, arguments)
            time.sleep(random.uniform(0, longest))
            if os.waitpid(child, os.WNOHANG)[0]:
                sys.exit(f"the run ended after {done} kills, before it could be killed again: give more --steps")
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            if done % 20 == 19:
                rows = (killed / FOLDER / "metrics.csv").read_text().splitlines() if (killed / FOLDER).exists() else []
                print(f"{done + 1} kills, round {rows[-1].split(',')[0] if rows else 0}", flush=True)
        complete(killed, arguments)
        one, other = content(alone), content(killed)
        for part in one:
            print(f"{part}: {'equal' if equal(one[part], other[part]) else 'DIFFERENT'}")
        sys.exit(0 if equal(one, other) else 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20_000, help="rounds of the run (20,000)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    given = parser.parse_args()
    soak(given.kills, given.steps, given.seed)
