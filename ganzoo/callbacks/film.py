"""A picture of a run every so many rounds, and all of them as an animation."""

import shutil
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from ganzoo.game import Game
from ganzoo.laboratory.frames import animate


class Film(L.Callback):
    """Base of callbacks that draw frames; a subclass says what is in one (`frame`).

    Frames are drawn before the first round, every `every_steps` rounds and after the last one. Each is a file
    `laboratory/step-00000500.png` in the run folder at once, so that an interrupted run loses none; at the end, whatever
    ends the run, they become `laboratory.gif`, and the last one `laboratory.png`. A resumed run takes over the frames and
    numbers of the run that it goes on from.

    Args:
        every_steps: rounds between frames.
        milliseconds: that the animation shows each of them.
    """

    def __init__(self, every_steps: int = 100, milliseconds: int = 120) -> None:
        if every_steps < 1 or milliseconds < 10:
            raise ValueError("a film's every_steps must be at least 1, and its milliseconds at least 10")
        self.every_steps, self.milliseconds = every_steps, milliseconds
        self.history: dict[str, list[float]] = {}  # what curves over rounds are drawn of
        self._drawn_at = -1

    def frame(self, trainer: L.Trainer, game: Any) -> Image.Image:
        """The picture of this round; it may add to `history`."""
        raise NotImplementedError(f"{type(self).__name__} must say what its frames show")

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.folder = Path(trainer.log_dir or trainer.default_root_dir)  # a broadcast: all ranks come here

    def on_train_start(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            self.take_over(trainer)
        if trainer.global_step != self._drawn_at:
            self.shoot(trainer, game)

    def on_train_batch_end(self, trainer: L.Trainer, game: Game, *_: object) -> None:  # type: ignore[override]
        if trainer.global_step % self.every_steps == 0:
            self.shoot(trainer, game)

    def on_train_end(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        if trainer.global_step != self._drawn_at:
            self.shoot(trainer, game)
        self.finish()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.finish()

    @rank_zero_only
    def shoot(self, trainer: L.Trainer, game: Game) -> None:
        image = self.frame(trainer, game)
        self._drawn_at = trainer.global_step
        (self.folder / "laboratory").mkdir(parents=True, exist_ok=True)
        image.save(self.folder / "laboratory" / f"step-{trainer.global_step:08d}.png")

    @rank_zero_only
    def finish(self) -> None:
        frames = [] if self._drawn_at < 0 else frames_in(self.folder)
        if not frames:  # stopped before there was anything to see, perhaps even a folder
            return
        animate(frames, self.folder / "laboratory.gif", self.milliseconds)
        shutil.copyfile(frames[-1], self.folder / "laboratory.png")

    def take_over(self, trainer: L.Trainer) -> None:
        """Keep the frames up to this round: those beside the checkpoint that training goes on from, and those here."""
        if trainer.ckpt_path:
            for frame in frames_in(Path(trainer.ckpt_path).absolute().parent.parent):
                (self.folder / "laboratory").mkdir(parents=True, exist_ok=True)
                if not (self.folder / "laboratory" / frame.name).exists():
                    shutil.copyfile(frame, self.folder / "laboratory" / frame.name)
        for frame in frames_in(self.folder):
            if int(frame.stem.removeprefix("step-")) > self._drawn_at:  # of a future that will be otherwise, or another run
                frame.unlink()

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "drawn_at": self._drawn_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history, self._drawn_at = state_dict["history"], state_dict["drawn_at"]


def frames_in(run: Path) -> list[Path]:
    """A run folder's frames, in the order of their rounds."""
    return sorted((run / "laboratory").glob("step-????????.png"))
