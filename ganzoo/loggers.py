"""Lightning's loggers with ganzoo's defaults, so that `--trainer.logger Wandb` is all it takes."""

from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger


class TensorBoard(TensorBoardLogger):
    """TensorBoard; its files go into the run folder.

    Args:
        save_dir: another folder for them.
    """

    def __init__(self, save_dir: str = ".", name: str = "", version: str = "tensorboard", **tensorboard: Any) -> None:
        super().__init__(save_dir, name=name, version=version, **tensorboard)


class Wandb(WandbLogger):
    """Weights & Biases, online, or offline with WANDB_MODE=offline; its local files go into the run folder.

    Args:
        save_dir: another folder for them.
        project: the W&B project.
    """

    def __init__(self, save_dir: str = ".", project: str = "ganzoo", **wandb: Any) -> None:
        super().__init__(save_dir=save_dir, project=project, **wandb)
