"""Checkpoints counted in rounds, and what is saved when a run is told to stop."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning as L
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from ganzoo.checkpoint_files import CheckpointFiles, keep_a_copy
from ganzoo.game import Game
from ganzoo.loading import read
from ganzoo.loggers import Wandb
from ganzoo.signals import Interruption, Signals, Stopped, requeue


class Checkpoints(Checkpoint):
    """Writes `checkpoints/last.ckpt` into the run folder every `every_steps` rounds, at the end of training, and when SIGTERM,
    Ctrl-C or SLURM's requeue signal stops it. The one before stays as `previous.ckpt`. None holds NaN or infinity.

    Args:
        every_steps: rounds between two writings of `last.ckpt`.
        keep_every_steps: rounds between the numbered checkpoints, `step-00001000.ckpt`, that are kept; None keeps none.
        every_minutes: `last.ckpt` is also written when it is older than that; None: by rounds alone.

    Raises:
        OSError: a checkpoint cannot be written; the one before is still there.
        Diverged: there is NaN or infinity in what was to be saved.
        Stopped: a signal has stopped the run, which has been saved.
        ValueError: `every_steps` below 1.
    """

    def __init__(
        self, every_steps: int = 1000, keep_every_steps: int | None = None, every_minutes: float | None = None
    ) -> None:
        if every_steps < 1:
            raise ValueError("--checkpoints.every_steps must be at least 1")
        self.every_steps, self.keep_every_steps, self.every_minutes = every_steps, keep_every_steps, every_minutes
        self.last: Path | None = None
        self.signals = Signals()
        self._saved_at = -1
        self._behind = self._waiting = False
        self._since = 0.0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.folder = Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # not one that the user has chosen
            trainer.strategy.checkpoint_io = CheckpointFiles()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = time.monotonic()
        self.signals.listen()

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:  # type: ignore[override]
        self._waiting = validates(trainer)
        if not self._waiting:
            self.at_rounds_end(trainer)

    def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:  # type: ignore[override]
        if self._waiting:
            self._waiting = False
            self.at_rounds_end(trainer)

    def at_rounds_end(self, trainer: L.Trainer) -> None:
        """What is due. A round in which held-out data is looked at ends after that."""
        self.keep(trainer)
        step = trainer.global_step
        if step % self.every_steps == 0 or self._behind or self.overdue(trainer):
            self.save(trainer)
        if signum := self.signals.agreed():
            self.stop(trainer, signum)

    def keep(self, trainer: L.Trainer) -> None:
        """The numbered checkpoint of this round, if it is to have one."""
        if self.keep_every_steps and trainer.global_step % self.keep_every_steps == 0:
            self.write(trainer, self.folder / f"step-{trainer.global_step:08d}.ckpt")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._waiting:  # no round comes after the last one, in which it would have been written
            self._waiting = False
            self.keep(trainer)
        if trainer.global_step != self._saved_at or self._behind:
            self.save(trainer)
        self.signals.rest()

    def on_exception(self, trainer: L.Trainer, game: Game, exception: BaseException) -> None:  # type: ignore[override]
        if isinstance(exception, Exception) and self.told_between_rounds(trainer, game):
            self.save(trainer)
        self.signals.rest()

    def told_between_rounds(self, trainer: L.Trainer, game: Game) -> bool:
        """Whether an error comes of a signal, which those who read the data get too, and the round is whole. Not on several
        devices: the other ranks would be waited for in vain."""
        return bool(self.signals.received) and not game.playing and trainer.world_size == 1

    def overdue(self, trainer: L.Trainer) -> bool:
        if self.every_minutes is None:
            return False
        return trainer.strategy.broadcast(time.monotonic() - self._since >= 60 * self.every_minutes)

    def save(self, trainer: L.Trainer) -> None:
        """last.ckpt as of now."""
        step = trainer.global_step
        self.last = self.folder / "last.ckpt"
        if trainer.is_global_zero:
            keep_a_copy(self.last, self.folder / "previous.ckpt")
        self.write(trainer, self.last)
        self._saved_at, self._since, self._behind = step, time.monotonic(), False
        callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        measured = [score for callback in callbacks for score in getattr(callback, "scores", [])]
        for logger in trainer.loggers:
            if isinstance(logger, Wandb):
                logger.keep(self.last, "last", step, [score for score in measured if score.origin.step == step])

    def write(self, trainer: L.Trainer, path: Path) -> None:
        game = trainer.lightning_module
        if isinstance(game, Game):
            game.refuse_bad_numbers()
        trainer.save_checkpoint(path, weights_only=False)

    def amend(self, trainer: L.Trainer, callback: L.Callback) -> None:
        """last.ckpt becomes the checkpoint that the run goes on from, with what a callback has found out since: Lightning has
        not yet restored all that is in it."""
        if trainer.is_global_zero:
            content = read(str(trainer.ckpt_path))
            content["callbacks"][callback.state_key] = callback.state_dict()
            trainer.strategy.checkpoint_io.save_checkpoint(content, self.folder / "last.ckpt")

    def stop(self, trainer: L.Trainer, signum: int) -> None:
        if trainer.global_step != self._saved_at:
            self.save(trainer)
        if signum == signal.SIGUSR1 and trainer.is_global_zero:
            requeue()
        raise Stopped(signum, trainer.global_step)

    @contextmanager
    def saved(self, trainer: L.Trainer) -> Iterator[None]:
        """The game does not change inside. It is saved before, so that a signal need not wait for what is done inside."""
        self.signals.listen()
        self.save(trainer)
        try:
            with self.signals.interrupting():
                yield
        except Interruption:
            self.stop(trainer, self.signals.received)
        self._behind = True  # of what has been found out inside


def validates(trainer: L.Trainer) -> bool:
    """Whether Lightning will now turn to held-out data, if there is any."""
    every = trainer.val_check_batch or float("inf")
    return trainer.enable_validation and (trainer.is_last_batch or trainer.global_step % every == 0)
