"""The progress bar: rounds done, images per second, time left, and the latest terms."""

import sys
import time

import lightning as L
from lightning.pytorch.callbacks import ProgressBar as LightningProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ganzoo.game import Game


class ProgressBar(LightningProgressBar):
    """A bar over `max_steps` on a terminal, and elsewhere (a log file, a cluster job) a line every `seconds`.

    Args:
        seconds: time between two lines where there is no terminal.
    """

    def __init__(self, seconds: float = 30.0) -> None:
        super().__init__()
        self.seconds = seconds
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self._last_line = 0.0
        self._shown: dict[str, float] = {}

    def disable(self) -> None:
        self.console.quiet = True

    def enable(self) -> None:
        self.console.quiet = False

    def on_train_start(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        self._last_line = time.monotonic()
        if not self.console.is_terminal:
            return
        columns = [BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
        self.bar = Progress(TextColumn(type(game).__name__), *columns, TextColumn("{task.fields[terms]}"), console=self.console)
        self.bar.start()
        total = trainer.max_steps if trainer.max_steps > 0 else None
        self.task = self.bar.add_task("fit", total=total, completed=trainer.global_step, terms="")

    def on_train_batch_end(self, trainer: L.Trainer, game: Game, *_: object) -> None:  # type: ignore[override]
        if self.bar:
            if game.measured is not self._shown:
                self._shown = game.measured
                self.bar.update(self.task, terms=summary(trainer, game))
            self.bar.update(self.task, completed=trainer.global_step)
        elif time.monotonic() - self._last_line > self.seconds:
            self.line(trainer, game)

    def on_train_end(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        if self.bar:
            self.bar.update(self.task, terms=summary(trainer, game))
        else:
            self.line(trainer, game)
        self.stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.stop()

    def line(self, trainer: L.Trainer, game: Game) -> None:
        self._last_line = time.monotonic()
        of = f"/{trainer.max_steps}" if trainer.max_steps > 0 else ""
        self.console.print(f"step {trainer.global_step}{of}  {summary(trainer, game)}", highlight=False, soft_wrap=True)

    def stop(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None

    def print(self, *args: object, **kwargs: object) -> None:
        print(*args, file=sys.stderr)


def summary(trainer: L.Trainer, game: Game) -> str:
    """The players' losses, the speed and the latest scores, on one line."""
    shown = [f"{name.removesuffix('/loss')} {value:.3g}" for name, value in game.measured.items() if name.endswith("/loss")]
    if "images_per_second" in game.measured:
        shown.append(f"{game.measured['images_per_second']:,.0f} images/s")
    scores = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("score/")}
    return "  ".join([*shown, *(f"{name.removeprefix('score/')} {value:.4g}" for name, value in scores.items())])
