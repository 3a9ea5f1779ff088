"""Theory beside training: the data's density, the optimal discriminator, the divergence, and what pushes the generator."""

import lightning as L
from PIL import Image
from torch import Tensor

from ganzoo.callbacks.film import Film
from ganzoo.conditional import ConditionalDuel
from ganzoo.data.densities import Density
from ganzoo.duel import Duel, evaluating
from ganzoo.game import Game
from ganzoo.laboratory.frames import densities_frame
from ganzoo.laboratory.observe import Observed, observe
from ganzoo.laboratory.theory import Grid
from ganzoo.metrics.modes import modes


class Laboratory(Film):
    """Shows a duel over data of known density, in one or two dimensions, beside what theory says of it.

    - samples over p_data; p_g is a fine histogram of them;
    - D beside the optimal D* = p_data / (p_data + p_g) (arXiv:1406.2661, Proposition 1);
    - which way the generator's own cost pushes a fake, on a lattice, or at samples where that depends on the other fakes;
    - the Jensen-Shannon divergence on a grid, and as D sees it, V / 2 + log 2 (Theorem 1);
    - modes found and samples on a mode, if the data has modes (`ganzoo.metrics.modes`);
    - the slopes of three generator costs, and where the fakes are on them (arXiv:1701.00160, figure 16).

    Critics are no probabilities: instead of D*, the estimate and the slopes there is the gap E f(x) - E f(G(z)). The numbers
    go to the loggers as `lab/jsd`, `lab/jsd_seen`, `lab/discriminator_error` (E |D - D*|), `lab/gap`, `lab/modes` and
    `lab/quality`, both shares. Training does not notice: with and without a laboratory it ends bit for bit the same.

    Args:
        every_steps: rounds between frames.
        n: samples, and as many held-out points, that a frame is measured with.
        seed: of the noise, the same for all frames.
        milliseconds: that the animation shows a frame.
    """

    def __init__(self, every_steps: int = 100, n: int = 20_000, seed: int = 0, milliseconds: int = 120) -> None:
        super().__init__(every_steps, milliseconds)
        if n < 2000:
            raise ValueError(f"{n} samples are too few for a density: give the Laboratory n of 2000 or more")
        self.n, self.seed = n, seed

    def on_train_start(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        self.data = data_of(trainer)
        self.real = held_out(self.data, self.n)
        refuse_unfit(game, self.real)
        self.grid = Grid(self.data.low, self.data.high, self.data.shape[0])
        super().on_train_start(trainer, game)

    def frame(self, trainer: L.Trainer, game: Duel) -> Image.Image:
        seen = observe(game, self.grid, self.data.log_density, self.real, self.seed)
        numbers = seen.numbers() | self.modes_of(seen)
        for name, value in {"step": float(trainer.global_step), **numbers}.items():
            self.history.setdefault(name, []).append(value)
        row = {f"lab/{name}": value for name, value in numbers.items()} | {"images_seen": float(game.images_seen)}
        for logger in trainer.loggers:
            logger.log_metrics(row, step=trainer.global_step)
        title = f"{type(game).__name__}, round {trainer.global_step:,}: JSD {numbers['jsd']:.3f}"
        if "jsd_seen" in numbers:
            title += f", by D {numbers['jsd_seen']:.3f}; mean |D - D*| {numbers['discriminator_error']:.3f}"
        return densities_frame(seen, self.history, title)

    def modes_of(self, seen: Observed) -> dict[str, float]:
        if self.data.centres is None:
            return {}
        found, share, _ = modes(seen.samples, self.data.centres, self.data.stds, self.data.weights)
        return {"modes": found / len(self.data.centres), "quality": share}


def data_of(trainer: L.Trainer) -> Density:
    """The run's data; raises ValueError if its density is not known."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(data, Density):
        raise ValueError("the Laboratory needs data of known density: set --data to Line, Gaussians or Checkerboard")
    return data


def held_out(data: Density, n: int) -> Tensor:
    """The first n held-out points [n, D]."""
    if n > data.samples:
        raise ValueError(f"the Laboratory wants {n} held-out points and there are {data.samples}: set --data.samples to {n}")
    return data.held_out.__getitems__(range(n))[0]  # type: ignore[union-attr]


def refuse_unfit(game: Game, real: Tensor) -> None:
    """Raise ValueError unless the game is a duel whose discriminator has one logit for one sample."""
    if isinstance(game, Duel) and not (isinstance(game, ConditionalDuel) and game.kinds):
        try:
            with evaluating(game):
                judged = game.discriminator(real[:6].to(game.device))
            if judged.shape == (6,):
                return
        except RuntimeError:  # it takes inputs of another shape
            pass
    raise ValueError(
        f"the Laboratory needs one logit for each sample, and {type(game).__name__} has none: choose another --model"
    )
