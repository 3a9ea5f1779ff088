"""What share of the training time does the collapse watch take?

    python benchmarks/watch_cost.py

One check, and the one preparation when real samples enough are there, against the rounds between two checks: medians of one
run of each task, in which all are timed.
"""

import time
from functools import partial
from statistics import median
from typing import Any

import lightning as L
import torch
from step_time import Pixels

import ganzoo
from ganzoo.data.base import DataModule
from ganzoo.game import Game


class Timed(ganzoo.CollapseWatch):
    """A watch that times itself, and the rounds, from the start of one's turns to their end."""

    def __init__(self, every_steps: int) -> None:
        super().__init__(every_steps)
        self.seconds: dict[str, list[float]] = {"round": [], "check": [], "preparation": []}

    def on_train_batch_start(self, trainer: L.Trainer, game: Game, *batch: Any) -> None:
        super().on_train_batch_start(trainer, game, *batch)
        self.started = time.perf_counter()

    def on_train_batch_end(self, *batch: Any) -> None:
        self._clock("round", self.started)
        super().on_train_batch_end(*batch)

    def check(self, *batch: Any) -> None:
        started = time.perf_counter()
        super().check(*batch)
        self._clock("check", started)

    def _collect(self, batches: list[Any]) -> None:
        started = time.perf_counter()
        super()._collect(batches)
        if self._variation is not None:
            self._clock("preparation", started)

    def _clock(self, what: str, started: float) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds[what].append(time.perf_counter() - started)


def measure(game: Game, data: DataModule, rounds: int) -> dict[str, float]:
    """Median seconds of a round, a check and the preparation."""
    watch = Timed(every_steps=rounds // 6)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    L.Trainer(max_steps=rounds, callbacks=[watch], use_distributed_sampler=False, **quiet).fit(game, data)
    return {what: median(seconds) for what, seconds in watch.seconds.items()}


def main() -> None:
    torch.manual_seed(0)
    ring = {
        "generator": partial(ganzoo.MLPGenerator, width=128),
        "discriminator": partial(ganzoo.MLPDiscriminator, width=128),
    }
    tasks: dict[str, tuple[Game, DataModule, int]] = {
        "GAN, ring": (ganzoo.GAN(shape=(2,), latent_dim=2, **ring), ganzoo.Gaussians(), 300),
        "DCGAN 32x32": (ganzoo.DCGAN(shape=(3, 32, 32)), Pixels(), 30),
    }
    print("| task | a round | a check | preparation | check / 500 rounds |\n|---|---|---|---|---|")
    for name, task in tasks.items():
        took = measure(*task)
        share = took["check"] / (500 * took["round"])
        times = " | ".join(f"{1000 * seconds:.3g} ms" for seconds in took.values())
        print(f"| {name} | {times} | {share:.2%} |", flush=True)


if __name__ == "__main__":
    main()
