"""Checkpoints counted in rounds. Lightning's ModelCheckpoint has other ideas under manual optimization."""

from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from ganzoo.callbacks.evaluation import Evaluation
from ganzoo.loggers import Wandb


class Checkpoints(Checkpoint):
    """Writes `checkpoints/last.ckpt` into the run folder every `every_steps` rounds and at the end of training.

    Args:
        every_steps: rounds between two writings of `last.ckpt`.
        keep_every_steps: rounds between the numbered checkpoints, `step-00001000.ckpt`, that are kept; None keeps none.
    """

    def __init__(self, every_steps: int = 1000, keep_every_steps: int | None = None) -> None:
        self.every_steps, self.keep_every_steps = every_steps, keep_every_steps
        self.last: Path | None = None
        self._saved_at = -1

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.folder = Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:  # type: ignore[override]
        step = trainer.global_step
        if self.keep_every_steps and step % self.keep_every_steps == 0:
            trainer.save_checkpoint(self.folder / f"step-{step:08d}.ckpt", weights_only=False)
        if step % self.every_steps == 0:
            self.save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.global_step != self._saved_at:
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        self.last = self.folder / "last.ckpt"
        trainer.save_checkpoint(self.last, weights_only=False)
        self._saved_at = step = trainer.global_step
        callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        measured = [score for each in callbacks if isinstance(each, Evaluation) for score in each.scores]
        for logger in trainer.loggers:
            if isinstance(logger, Wandb):
                logger.keep(self.last, "last", step, [score for score in measured if score.origin.step == step])
