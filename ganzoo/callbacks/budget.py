"""What a run costs, and how long it may take."""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import WandbLogger

import ganzoo
from ganzoo.callbacks.collapse import CollapseWatch, weights_of
from ganzoo.data.cache import replacing
from ganzoo.evaluation import commit, named
from ganzoo.game import Diverged, Game
from ganzoo.metrics.stamp import Cost


class Budget(L.Callback):
    """Keeps account of a run, and ends it after `minutes` of training.

    `cost.json` in the run folder says at the end how it ended (`finished`, or `diverged` if there was NaN or infinity), rounds,
    real images seen, seconds, images per second, memory, weights, what the collapse watch saw last, and on which
    device; W&B shows the same in its table of runs. The seconds are training's own, without evaluations, those of a resumed
    run's earlier parts added. The memory is, on a GPU, the most that training's tensors took; elsewhere the most that the
    whole process took.

    Args:
        minutes: of training; None for as long as `max_steps` says.
    """

    def __init__(self, minutes: float | None = None) -> None:
        if minutes is not None and minutes <= 0:
            raise ValueError("--budget.minutes must be above 0")
        self.minutes = minutes
        self._spent = 0.0
        self._since: float | None = None  # the clock runs since then
        self._memory = 0
        self._cuda = False

    @property
    def seconds(self) -> float:
        """Of training so far."""
        return self._spent + (0.0 if self._since is None else time.perf_counter() - self._since)

    @property
    def memory(self) -> int:
        """Bytes that training took at most so far."""
        return self._memory if self._since is None else max(self._memory, most_memory(self._cuda))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The clock stands still, and memory is not counted."""
        ran = self._since is not None
        self._halt()
        try:
            yield
        finally:
            if ran:
                self._go_on()

    def _go_on(self) -> None:
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
        self._since = time.perf_counter()

    def _halt(self) -> None:
        if self._since is None:
            return
        if self._cuda:
            torch.cuda.synchronize()  # what is still to be computed is training's
        self._memory, self._spent, self._since = self.memory, self.seconds, None

    # --- when ---

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        # Here, where all ranks come: `log_dir` is broadcast.
        self._path = Path(trainer.log_dir or trainer.default_root_dir) / "cost.json"

    def on_train_start(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        self._cuda = game.device.type == "cuda"
        self._go_on()

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:  # type: ignore[override]
        if self.minutes is not None and trainer.strategy.broadcast(self.seconds >= 60 * self.minutes):
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        self._halt()
        for callback in trainer.checkpoint_callbacks:  # a run that is called finished must have its last checkpoint
            callback.on_train_end(trainer, game)
        self.write(trainer, game, "finished")

    def on_fit_start(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        if nothing_left(trainer):
            self.write(trainer, game, "finished")

    def on_exception(self, trainer: L.Trainer, game: Game, exception: BaseException) -> None:  # type: ignore[override]
        if isinstance(exception, Diverged):
            self.write(trainer, game, "diverged")

    # --- what ---

    def write(self, trainer: L.Trainer, game: Game, state: str) -> None:
        if not trainer.is_global_zero or not self._path.parent.is_dir():  # a trainer that keeps nothing
            return
        watches = [callback for callback in trainer.callbacks if isinstance(callback, CollapseWatch)]  # type: ignore[attr-defined]
        cost = Cost(
            state=state,
            rounds=trainer.global_step,
            images_seen=game.images_seen,
            seconds=round(self.seconds, 3),
            images_per_second=round(game.images_seen / max(self.seconds, 1e-9), 1),
            memory_bytes=self.memory,
            weights={player: sum(weight.numel() for weight in weights) for player, weights in weights_of(game).items()},
            troubles=sorted(watches[0].found) if watches else None,
            device=named(game.device),
            devices=trainer.world_size,
            threads=torch.get_num_threads(),
            precision=trainer.precision,
            torch=torch.__version__,
            ganzoo=ganzoo.__version__,
            commit=commit(),
        )._asdict()
        with replacing(self._path) as file:
            file.write(json.dumps(cost, indent=1).encode())
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.summary.update(cost)

    # --- the state of a run ---

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Lightning restores the round after `on_fit_start`, where `nothing_left` is asked."""
        trainer.fit_loop.load_state_dict(checkpoint["loops"]["fit_loop"])

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "memory": self.memory}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._spent, self._memory = state_dict["seconds"], state_dict["memory"]


def nothing_left(trainer: L.Trainer) -> bool:
    """Whether a run that goes on had had all its rounds: then Lightning trains none, and calls nobody at their end."""
    return 0 < trainer.max_steps <= trainer.global_step


def most_memory(cuda: bool) -> int:
    """Bytes: of tensors on the GPU since the count was last reset; without one, of this process ever."""
    if cuda:
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # Linux counts in KiB
