"""A picture of samples at intervals, always of the same noise, so that one sees training and not chance."""

from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from ganzoo.callbacks.imputations import imputed_and_true
from ganzoo.callbacks.translations import TILES, shown, side_by_side
from ganzoo.conditional import OfKinds
from ganzoo.game import Game, draw_from
from ganzoo.imputation import Imputer
from ganzoo.pictures import picture
from ganzoo.tables import lines, natural
from ganzoo.translation import Translator


class SampleGrid(L.Callback):
    """Writes `samples/step-00000500.png` into the run folder and to W&B and TensorBoard, every `every_steps` and at the end; of
    strings, beside it, a .txt of all that were drawn.

    Args:
        every_steps: rounds between pictures.
        n: samples in a picture; 16 times as many of what are no images. Of a game of several kinds (classes, or categories of
            a code) each row shows one of the first ten, each column one noise, in as many columns as n has room for. Of a game
            of images an eighth of n, always the same ones, held out if any are: source, output and target in each row.
        seed: of the noise.

    Raises:
        ValueError: no rounds between pictures, or no samples in one.
    """

    def __init__(self, every_steps: int = 500, n: int = 64, seed: int = 0) -> None:
        if every_steps < 1 or n < 1:
            raise ValueError("--samples.every_steps and --samples.n must be at least 1")
        self.every_steps, self.n, self.seed = every_steps, n, seed
        self.path: Path | None = None  # of the latest picture
        self._drawn_at = -1

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        # Here, where all ranks come: `log_dir` is broadcast, and only one of them draws.
        self.folder = Path(trainer.log_dir or trainer.default_root_dir) / "samples"

    def on_train_batch_end(self, trainer: L.Trainer, game: Game, *_: object) -> None:  # type: ignore[override]
        if trainer.global_step % self.every_steps == 0:
            self.draw(trainer, game)

    def on_train_end(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        if trainer.global_step != self._drawn_at:
            self.draw(trainer, game)

    @rank_zero_only
    def draw(self, trainer: L.Trainer, game: Game) -> None:
        images = len(game.shape) == 3
        draw_from(game.device, self.seed)
        if isinstance(game, Translator):
            tiles = shown(game, trainer.datamodule, max(1, self.n // 8))  # type: ignore[attr-defined]
            image = side_by_side(tiles)
            tabulate(trainer, tiles)
        elif isinstance(game, Imputer) and (drawn := imputed_and_true(game, trainer.datamodule)):  # type: ignore[attr-defined]
            image = drawn
        elif isinstance(game, OfKinds) and game.kinds and images:
            image = self.kinds_of(game)
        else:
            samples = game.sample(self.n if images else 16 * self.n)
            data = trainer.datamodule  # type: ignore[attr-defined]
            real = None if images else natural(data.real_samples(2000), game.units)
            judge = getattr(data, "valid", None)
            valid = judge(samples) if judge else None
            image = picture(natural(samples, game.units), real, units=game.units, valid=valid)
            self.write(trainer, game, samples)
        self._drawn_at = trainer.global_step
        self.path = self.folder / f"step-{trainer.global_step:08d}.png"
        self.folder.mkdir(parents=True, exist_ok=True)
        image.save(self.path)
        self.send(trainer, image)

    def write(self, trainer: L.Trainer, game: Game, samples: Tensor) -> None:
        """Strings, beside the picture, as lines of text."""
        if game.units and game.units["kind"] == "strings":
            lines(samples, game.units, self.folder / f"step-{trainer.global_step:08d}.txt")

    def kinds_of(self, game: OfKinds) -> Image.Image:
        rows = []
        kinds = min(game.kinds, 10)
        columns = max(1, self.n // kinds)
        for kind in range(kinds):
            draw_from(game.device, self.seed)
            rows.append(game.sample(columns, torch.full((columns,), kind)))
        return picture(torch.cat(rows), columns=columns)

    def send(self, trainer: L.Trainer, image: Image.Image) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("samples", [image], step=trainer.global_step)
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("samples", pil_to_tensor(image), trainer.global_step)


def tabulate(trainer: L.Trainer, tiles: Sequence[tuple[Tensor, ...]]) -> None:
    """A table of images for W&B, where rows can be sorted and enlarged."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            import wandb

            rows = [[wandb.Image(picture(part)) for part in row] for row in tiles]
            logger.log_table("translations", columns=list(TILES), data=rows, step=trainer.global_step)
