"""Scores while training, and the best checkpoint by one of them."""

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch

from ganzoo.callbacks.budget import Budget, nothing_left
from ganzoo.callbacks.checkpoints import Checkpoints
from ganzoo.checkpoint_files import keep_a_copy
from ganzoo.data.base import DataModule
from ganzoo.evaluation import Evaluator, evaluate, split_of
from ganzoo.game import Game
from ganzoo.loggers import Wandb
from ganzoo.metrics import stamp
from ganzoo.metrics.features import extractor
from ganzoo.metrics.scores import asked, greater_is_better, refuse_too_few, reported
from ganzoo.metrics.stamp import Stamped


class Evaluation(L.Callback):
    """Measures the samples of the weight average every `every_steps` rounds and at the end, and keeps the best checkpoint.

    Scores go to the loggers and the progress bar as `score/fid`, and with their stamps to `scores.jsonl` in the run folder.
    Training does not notice: with and without evaluation it ends bit for bit the same.

    Args:
        every_steps: rounds between evaluations; None for none at all, unless `every_minutes` is given.
        metrics: of fid, kid, is, prdc, memorisation; fd and kd where the extractor is not Inception; and what is of one kind of
            samples alone (`ganzoo evaluate --help`).
        extractor: `inception`, `dinov2`, `clip`, or `effnet-lite0`, which needs no download; of what are no images `raw`.
        weights: a file of the extractor's weights, instead of downloading them.
        n: samples.
        split: the real samples: `train` or `held_out`.
        seed: of the noise.
        best: score that decides which checkpoint is `best.ckpt`; None for the first of `metrics`.
        every_minutes: of training between evaluations, by `Budget`'s clock.

    Raises:
        ValueError: weights that cannot be had, an unknown metric, too small an n, or no time between evaluations: before the
            first round.
    """

    def __init__(
        self,
        every_steps: int | None = None,
        metrics: list[str] = ["fd", "kd"],  # noqa: B006 - never changed, and jsonargparse shows it
        extractor: str = "inception",
        weights: str | None = None,
        n: int = 10_000,
        split: Literal["train", "held_out"] = "train",
        seed: int = 0,
        best: str | None = None,
        every_minutes: float | None = None,
    ) -> None:
        names = reported(metrics, extractor)
        refuse_too_few(asked(metrics, extractor), n, "in --evaluation.n")
        if best is not None and best not in names:
            raise ValueError(f"--evaluation.best is one of the scores that are measured, {', '.join(names)}, not {best}")
        if (every_steps is not None and every_steps < 1) or (every_minutes is not None and every_minutes <= 0):
            raise ValueError("--evaluation.every_steps is at least 1 and every_minutes above 0; null, for both, is never")
        self.every_steps, self.every_minutes = every_steps, every_minutes
        self.metrics, self.n, self.seed, self.best = metrics, n, seed, best or names[0]
        self.extractor, self.weights, self.split = extractor, weights, split
        self.scores: list[Stamped] = []  # the latest
        self._measured_at = -1
        self._times = 0  # periods of `every_minutes` that had passed when it was last measured
        self._budget: Budget | None = None  # whose clock stands still meanwhile
        self._evaluator: Evaluator | None = None
        self._lowest: float | None = None  # of the best score, minus it where greater is better

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self.wanted and stage == "fit":
            self._budget = next((c for c in trainer.callbacks if isinstance(c, Budget)), None)  # type: ignore[attr-defined]
            if self.every_minutes is not None and self._budget is None:
                raise ValueError("every_minutes goes by the clock of Budget: give the trainer that callback too")
            self.folder = Path(trainer.log_dir or trainer.default_root_dir)  # a broadcast: all ranks come here
            self._by = extractor(self.extractor, self.weights)

    def on_fit_start(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        if self.wanted:
            data = trainer.datamodule  # type: ignore[attr-defined]
            if not isinstance(data, DataModule):
                raise ValueError("Evaluation takes the real images from a ganzoo DataModule: give trainer.fit one")
            images, held_out = split_of(data, self.split)
            self._evaluator = Evaluator(
                self.metrics,
                self._by.to(game.device),
                images,
                split=self.split,
                held_out=held_out,
                data=data,
                console=getattr(trainer.progress_bar_callback, "console", None),  # below its bar, not across it
            )
        if self.wanted and nothing_left(trainer) and trainer.global_step != self._measured_at:  # stopped in the last evaluation
            self.close(trainer, game)

    def on_train_start(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        if 0 < trainer.global_step != self._measured_at and self.due(trainer):  # stopped while it was measured
            self.measure(trainer, game)

    def on_train_batch_end(self, trainer: L.Trainer, game: Game, *_: object) -> None:  # type: ignore[override]
        if self.due(trainer):
            self.measure(trainer, game)

    def on_train_end(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        if self.wanted and trainer.global_step != self._measured_at:
            self.measure(trainer, game)

    @property
    def wanted(self) -> bool:
        return self.every_steps is not None or self.every_minutes is not None

    def due(self, trainer: L.Trainer) -> bool:
        if self.every_steps is not None and trainer.global_step % self.every_steps == 0:
            return True
        if self.every_minutes is None:
            return False
        return trainer.strategy.broadcast(self.periods() > self._times)  # of the first rank's clock

    def periods(self) -> int:
        """How many times `every_minutes` training has lasted."""
        if self.every_minutes is None or self._budget is None:
            return 0
        return int(self._budget.seconds / (60 * self.every_minutes))

    def measure(self, trainer: L.Trainer, game: Game) -> None:
        """On all ranks together: measure, tell everyone, keep the checkpoint if it is the best yet."""
        keeping = checkpoints_of(trainer)
        with self._budget.paused() if self._budget else nullcontext(), keeping.saved(trainer) if keeping else nullcontext():
            self.score(trainer, game)
        if self.tell(trainer, game):
            path = self.folder / "checkpoints" / "best.ckpt"
            trainer.save_checkpoint(path, weights_only=False)
            for logger in trainer.loggers:
                if isinstance(logger, Wandb):
                    logger.keep(path, "best", trainer.global_step, self.scores)

    def close(self, trainer: L.Trainer, game: Game) -> None:
        """As `measure`, of a run that has had its last round: its checkpoint is there, and the game still incomplete."""
        self.score(trainer, game)
        best = self.tell(trainer, game)
        keeping = checkpoints_of(trainer)
        if keeping:
            keeping.amend(trainer, self)
            if best and trainer.is_global_zero:
                keep_a_copy(keeping.folder / "last.ckpt", keeping.folder / "best.ckpt")

    def score(self, trainer: L.Trainer, game: Game) -> None:
        assert self._evaluator is not None  # since on_fit_start
        seconds = round(self._budget.seconds, 3) if self._budget else None
        self.scores = evaluate(self._evaluator, game, self.n, self.seed, "training", trainer.global_step, seconds)
        self._measured_at = trainer.global_step
        self._times = self.periods()

    def tell(self, trainer: L.Trainer, game: Game) -> bool:
        """Whether it is the best yet."""
        values = {f"score/{score.protocol.metric}": score.value for score in self.scores}
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in values.items()})
        for logger in trainer.loggers:
            logger.log_metrics(values | {"images_seen": float(game.images_seen)}, step=trainer.global_step)
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            stamp.append(self.folder / "scores.jsonl", self.scores)
        value = values[f"score/{self.best}"]
        value = -value if greater_is_better(self.best) else value
        is_best = math.isfinite(value) and (self._lowest is None or value < self._lowest)
        if is_best:
            self._lowest = value
        return is_best

    def state_dict(self) -> dict[str, Any]:
        return {"lowest": self._lowest, "best": self.best, "times": self._times, "measured_at": self._measured_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._times = state_dict.get("times", 0)
        self._measured_at = state_dict.get("measured_at", -1)
        if state_dict["best"] == self.best:
            self._lowest = state_dict["lowest"]


def checkpoints_of(trainer: L.Trainer) -> Checkpoints | None:
    return next((callback for callback in trainer.checkpoint_callbacks if isinstance(callback, Checkpoints)), None)
