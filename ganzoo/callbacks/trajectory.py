"""Two players of one number each, seen from above."""

import lightning as L
import numpy as np
from PIL import Image

from ganzoo.callbacks.film import Film
from ganzoo.game import Game
from ganzoo.laboratory.bilinear import Bilinear
from ganzoo.laboratory.frames import trajectory_frame


class Trajectory(Film):
    """Shows the way of `Bilinear`'s players in the plane, and their distance from the equilibrium beside the theory's.

    Logs `lab/distance` and, after theory, `lab/distance_expected`: the distance at the start times `Bilinear.factor` for
    every round.

    Args:
        every_steps: rounds between frames.
        milliseconds: that the animation shows a frame.
    """

    def __init__(self, every_steps: int = 5, milliseconds: int = 80) -> None:
        super().__init__(every_steps, milliseconds)

    def on_train_start(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        if not isinstance(game, Bilinear):
            raise ValueError(f"Trajectory shows the two numbers of Bilinear, not {type(game).__name__}: use Laboratory")
        if not self.history:
            self.remember(game)
        super().on_train_start(trainer, game)

    def on_train_batch_end(self, trainer: L.Trainer, game: Bilinear, *_: object) -> None:  # type: ignore[override]
        self.remember(game)
        super().on_train_batch_end(trainer, game)

    def remember(self, game: Bilinear) -> None:
        for name, value in zip("xy", game.place.tolist(), strict=True):
            self.history.setdefault(name, []).append(value)

    def frame(self, trainer: L.Trainer, game: Bilinear) -> Image.Image:
        place = np.stack([self.history["x"], self.history["y"]], 1)  # [rounds + 1, 2]
        distance = np.linalg.norm(place, axis=1)
        expected = distance[0] * game.factor() ** trainer.global_step
        numbers = {"lab/distance": float(distance[-1]), "lab/distance_expected": float(expected)}
        for logger in trainer.loggers:
            logger.log_metrics(numbers | {"images_seen": float(game.images_seen)}, step=trainer.global_step)
        what = f"{game.play} play, lr {game.lr:g}, R1 {game.r1:g}, {game.unrolling_steps} unrolled steps"
        title = f"f(x, y) = xy, {what}: round {trainer.global_step}, distance {distance[-1]:.3g}"
        return trajectory_frame(place, game.matrix().numpy(), game.factor(), title)
