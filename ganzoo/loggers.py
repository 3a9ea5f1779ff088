"""Lightning's loggers with ganzoo's defaults, so that `--trainer.logger Wandb` is all it takes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from ganzoo.metrics.scores import greater_is_better
from ganzoo.metrics.stamp import Stamped


class TensorBoard(TensorBoardLogger):
    """TensorBoard; its files go into the run folder.

    Args:
        save_dir: another folder for them.
    """

    def __init__(self, save_dir: str = ".", name: str = "", version: str = "tensorboard", **tensorboard: Any) -> None:
        super().__init__(save_dir, name=name, version=version, **tensorboard)


class Wandb(WandbLogger):
    """Weights & Biases, online, or offline with WANDB_MODE=offline; its local files go into the run folder.

    All is drawn over `images_seen`, which variants with other rounds or batches share. The table of runs has each score's
    last value and its best (`score/fid.last`, `score/fid.min`), and the account that `Budget` keeps. At the end, also of a
    run that is stopped or diverges, `last.ckpt` and `best.ckpt` become versions of the artifact `model-ID`, with aliases
    `last` and `best`, and their scores with stamps as metadata. Lightning's `log_model` knows nothing of these checkpoints.

    Args:
        save_dir: another folder for them.
        project: the W&B project.
        artifacts: whether checkpoints are uploaded.
        resume: `allow`: a run that is given the id of an earlier one goes on in it.
        wandb: id, name, group, job_type, tags, notes, ... as of `wandb.init`.
    """

    def __init__(
        self, save_dir: str = ".", project: str = "ganzoo", artifacts: bool = True, resume: str | None = "allow", **wandb: Any
    ) -> None:
        # Named, because the command line gives all that it knows of: None, if it is not asked for another.
        super().__init__(save_dir=save_dir, project=project, resume=resume, **wandb)
        self.artifacts = artifacts
        self._game: Any = None  # whose images are counted
        self._defined: set[str] = set()  # scores whose summary W&B knows
        self._kept: dict[str, tuple[Path, dict[str, Any]]] = {}  # by alias: a checkpoint and what is said of it

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        new = self._experiment is None
        run = super().experiment
        if new:
            run.define_metric("images_seen")
            run.define_metric("*", step_metric="images_seen")  # in place of Lightning's trainer/global_step
        return run

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Before every run Lightning shows its loggers the model here, and only here."""
        self._game = model

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """One row; where it does not say how many images were seen, the game does."""
        for name in metrics.keys() - self._defined:
            if name.startswith("score/"):
                best = "max" if greater_is_better(name.removeprefix("score/")) else "min"
                self.experiment.define_metric(name, step_metric="images_seen", summary=f"{best},last")
                self._defined.add(name)
        super().log_metrics(self._seen() | dict(metrics), step)

    def _seen(self) -> dict[str, Any]:
        seen = getattr(self._game, "images_seen", None)  # a LightningModule of the user's own may not count them
        return {} if seen is None else {"images_seen": seen}

    @rank_zero_only
    def keep(self, checkpoint: Path, alias: str, step: int, scores: Sequence[Stamped]) -> None:
        """Upload this checkpoint at the end of the run, unless a later one takes its alias.

        Args:
            scores: those that were measured in round `step`.
        """
        values = {score.protocol.metric: score.value for score in scores}
        said = {"round": step, **self._seen(), "scores": values, "stamps": [score.row() for score in scores]}
        self._kept[alias] = (checkpoint, said)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        import wandb  # takes its time: most runs do without

        super().finalize(status)
        for alias in sorted(self._kept) if self.artifacts else []:  # `last` after `best`: W&B's own `latest` goes to it
            path, metadata = self._kept[alias]
            artifact = wandb.Artifact(f"model-{self.experiment.id}", "model", metadata=metadata)
            artifact.add_file(str(path), name=path.name, policy=self.add_file_policy)
            self.experiment.log_artifact(artifact, aliases=[alias])
        self._kept = {}
