"""How long runs will take: by those that are done, or by a few rounds of each."""

import time
from collections.abc import Sequence
from contextlib import suppress
from inspect import signature
from statistics import median
from typing import NamedTuple

import lightning as L
import torch
from rich.console import Console

from ganzoo.benchmark.folder import Folder
from ganzoo.benchmark.results import cost_of
from ganzoo.benchmark.suite import Run, Section, built
from ganzoo.data.base import DataModule
from ganzoo.data.native import SplitSamples
from ganzoo.evaluation import Evaluator, split_of
from ganzoo.metrics.extract import extract
from ganzoo.metrics.features import Extractor, extractor
from ganzoo.metrics.series import BATCH, discriminative_score, predictive_score
from ganzoo.references import place_of

START = 12.0  # seconds until a process has imported everything and plays its first round
TRIED = 32  # images for the extractor's speed
PATIENCE = 2.0  # seconds of rounds
FEW = 30  # iterations for a judge's speed
JUDGES = {"discriminative": discriminative_score, "predictive": predictive_score}


class Stopwatch(L.Callback):
    """Ends training after `PATIENCE`, and knows how long a round takes."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:  # type: ignore[override]
        self.ends.append(time.perf_counter())
        if self.ends[-1] - self.ends[0] > PATIENCE:
            trainer.should_stop = True

    @property
    def seconds(self) -> float:
        return median(after - before for before, after in zip(self.ends, self.ends[1:], strict=False))


def seconds_of_a_round(config: Section, device: torch.device) -> float:
    """Uncompiled, on this device, whatever else it does at the time."""
    model = config["model"]
    config = config | {"model": model | {"init_args": model.get("init_args", {}) | {"compile": False}}}
    game, data = built(config, "cpu")
    watch = Stopwatch()
    trainer = L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=config["trainer"].get("precision", "32-true"),
        max_steps=50,
        limit_val_batches=0,
        use_distributed_sampler=False,
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(game, data)
    return watch.seconds


class Measuring(NamedTuple):
    """What evaluations on one data set take.

    Args:
        sample: seconds for one.
        judging: seconds in each evaluation for networks that learn to judge.
        cached: whether the real images' features are in the cache.
    """

    sample: float
    judging: float
    cached: bool
    by: Extractor
    images: SplitSamples
    held_out: SplitSamples | None

    @property
    def reference(self) -> float:
        """Seconds for the real images' features."""
        return 0.0 if self.cached else self.sample * len(self.images)


def measuring(run: Run, device: torch.device) -> Measuring:
    """By a few real images, through the extractor on this device."""
    given = run.config["evaluation"]
    _, data = built(run.config, "cpu")
    data.prepare_data()
    data.setup()
    by = extractor(given.get("extractor", "inception"), given.get("weights")).to(device)
    images, held_out = split_of(data, given.get("split", "train"))
    by.fitted(images.shape[1:])
    n = min(TRIED, len(images))
    extract(by, images, n)  # the first pass loads what later ones have
    start = time.perf_counter()
    extract(by, images, n)
    seconds = (time.perf_counter() - start) / n
    path, _ = place_of(by, images, images.content())
    judges = judging(given.get("metrics", []), data)
    return Measuring(seconds, judges, path.is_file(), by, images, held_out)


def judging(metrics: Sequence[str], data: DataModule) -> float:
    """Seconds for which an evaluation's judges of series learn, by a few of their iterations."""
    seconds = 0.0
    for judge in (JUDGES[name] for name in metrics if name in JUDGES):
        usual = signature(judge).parameters
        real = data.real_samples(BATCH * 5 // 4) / 2 + 0.5
        start = time.perf_counter()
        judge(real, real, iterations=FEW, repeats=1)
        seconds += (time.perf_counter() - start) / FEW * usual["iterations"].default * usual["repeats"].default
    return seconds


def prepare(of: Measuring, evaluation: Section, console: Console) -> None:
    """The reference into the cache, once for all runs."""
    metrics, split = evaluation.get("metrics", ["fd", "kd"]), evaluation.get("split", "train")
    Evaluator(metrics, of.by, of.images, split=split, held_out=of.held_out, console=console)


def costs(
    todo: Sequence[Run], runs: Sequence[Run], folder: Folder, points: int, by: dict[str, Measuring], device: torch.device
) -> dict[tuple[str, str], float]:
    """Seconds of each variant's run on each data set; of one that fails in its first rounds, nothing: the run itself will say
    why."""
    found = {}
    for run in {(run.variant, run.data): run for run in todo}.values():
        of = by[run.data]
        evaluations = points * (run.config["evaluation"].get("n", 10_000) * of.sample + of.judging)
        with suppress(Exception):
            found[run.variant, run.data] = START + evaluations + training(run, runs, folder, device)
    return found


def training(run: Run, runs: Sequence[Run], folder: Folder, device: torch.device) -> float:
    """Seconds of training."""
    if run.rounds is None:
        return 60 * float(run.config["budget"]["minutes"])
    like = [other for other in runs if (other.variant, other.data) == (run.variant, run.data)]
    done = [cost for other in like if (cost := known(folder, other)) is not None]
    if done:
        return median(done)
    return run.rounds * seconds_of_a_round(run.config, device)


def known(folder: Folder, run: Run) -> float | None:
    """What a run has cost, if it is done."""
    try:
        cost = cost_of(folder.path / run.name)
    except ValueError:  # damaged
        return None
    return None if cost is None or cost.state != "finished" else cost.seconds
