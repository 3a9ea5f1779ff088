"""Lightning's loggers with ganzoo's defaults, so that `--trainer.logger Wandb` is all it takes."""

import os
import ssl
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from ganzoo.metrics.scores import greater_is_better
from ganzoo.metrics.stamp import Stamped
from ganzoo.wandb_files import Told, told

PATIENCE_SECONDS = 6.0  # with a server that does not answer
FINISH_SECONDS = 10.0  # for what is left to upload when a run ends, its checkpoints aside


class TensorBoard(TensorBoardLogger):
    """TensorBoard; its files go into the run folder.

    Args:
        save_dir: another folder for them.
        name, version: folders in it, one in the other.
        tensorboard: as of Lightning's `TensorBoardLogger`.
    """

    def __init__(self, save_dir: str = ".", name: str = "", version: str = "tensorboard", **tensorboard: Any) -> None:
        super().__init__(save_dir, name=name, version=version, **tensorboard)


class Wandb(WandbLogger):
    """Weights & Biases, online, or offline with WANDB_MODE=offline; its local files go into the run folder.

    A run never ends or waits for long because W&B is away. Without a key, and where the server does not answer, it is kept
    on disk as an offline one; if the server goes later, what it lacks stays there. A line says where, and how to upload it.

    All is drawn over `images_seen`, which variants with other rounds or batches share. The table of runs has each score's
    last value and its best (`score/fid.last`, `score/fid.min`), and the account that `Budget` keeps. At the end, also of a
    run that is stopped or diverges, `last.ckpt` and `best.ckpt` become versions of the artifact `model-ID`, with aliases
    `last` and `best`, and their scores with stamps as metadata. Lightning's `log_model` knows nothing of these checkpoints.

    Args:
        save_dir: another folder for them.
        project: the W&B project.
        artifacts: whether checkpoints are uploaded.
        resume: `allow`: a run that is given the id of an earlier one goes on in it, and is not told again what it was told.
        wandb: id, name, group, job_type, tags, notes, ... as of `wandb.init`.
    """

    def __init__(
        self, save_dir: str = ".", project: str = "ganzoo", artifacts: bool = True, resume: str | None = "allow", **wandb: Any
    ) -> None:
        # Arguments of our own: the command line passes all that it knows of, and would pass the parent's defaults.
        super().__init__(save_dir=save_dir, project=project, resume=resume, **wandb)
        self.artifacts = artifacts
        self._game: Any = None  # whose images are counted
        self._told: set[Told] = set()  # before this process
        self._defined: set[str] = set()  # scores whose summary W&B knows
        self._kept: dict[str, tuple[Path, dict[str, Any]]] = {}  # by alias: a checkpoint and what is said of it

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is not None:
            return self._experiment
        import wandb

        if wandb.run is None and self.version:  # or there is no earlier part, or it is this process's own
            self._told = told(Path(self.save_dir or "."), self.version)
        run = self._begun()
        run.define_metric("images_seen")
        run.define_metric("*", step_metric="images_seen")  # in place of Lightning's trainer/global_step
        return run

    def _begun(self) -> Any:
        """The run at W&B, or on disk if W&B is away.

        Raises:
            ValueError: W&B refuses what it was asked for.
        """
        import wandb  # takes its time: most runs do without

        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # to W&B: it would wait for an absent server, at the very end
        times = {"init_timeout": PATIENCE_SECONDS, "finish_timeout": FINISH_SECONDS}
        if isinstance(given := self._wandb_init.get("settings") or {}, dict):
            self._wandb_init["settings"] = times | given
        settings = wandb.setup().settings
        mode = "offline" if self._offline else self._wandb_init.get("mode") or settings.mode
        if mode != "online" or wandb.run is not None:
            return super().experiment
        if why := silence(settings.base_url):
            return self._begun_on_disk(why)
        try:
            return super().experiment
        except wandb.errors.UsageError as error:
            if "API key" not in str(error):
                raise ValueError(f"W&B: {error}") from error
            return self._begun_on_disk("there is no API key: wandb login takes it, or WANDB_API_KEY")
        except wandb.errors.Error as error:
            return self._begun_on_disk(str(error).splitlines()[0])

    def _begun_on_disk(self, why: str) -> Any:
        self._wandb_init["mode"] = "offline"
        run = super().experiment
        rank_zero_info(f"W&B is away ({why}): this run is kept on disk. To upload it later: wandb sync {Path(run.dir).parent}")
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
        row = self._seen() | dict(metrics)
        self.experiment  # noqa: B018 - by which it is known what W&B has been told
        if (row.get("images_seen"), frozenset(row)) not in self._told:
            super().log_metrics(row, step)

    def catch_up(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Tell W&B what it lacks of the run's earlier part: a process that was killed had not told it everything.

        Args:
            rows: as they were logged, with `step` and `images_seen`.
        """
        for row in rows:
            if "images_seen" in row:
                self.log_metrics({name: value for name, value in row.items() if name != "step"}, int(row["step"]))

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
        super().finalize(status)
        kept, self._kept = self._kept, {}
        if self._experiment is None and not kept:
            return
        run = self.experiment
        online = not (run.offline or run.disabled)
        why = silence(run.settings.base_url) if online else ""
        if not why and self.artifacts:
            why = self._upload(run, kept, online)
        if why:
            folder = Path(run.dir).parent
            rank_zero_info(f"W&B is away ({why}): what it lacks is kept on disk. To upload it later: wandb sync {folder}")

    def _upload(self, run: Any, kept: dict[str, tuple[Path, dict[str, Any]]], online: bool) -> str:
        """Log the checkpoints as artifacts, and wait for them while the server answers; why they are not all there."""
        import wandb

        logged = []
        try:
            for alias in sorted(kept):  # `last` after `best`: W&B's own `latest` goes to it
                path, metadata = kept[alias]
                artifact = wandb.Artifact(f"model-{run.id}", "model", metadata=metadata)
                artifact.add_file(str(path), name=path.name, policy=self.add_file_policy)
                logged.append(run.log_artifact(artifact, aliases=[alias]))
            return next(filter(None, (awaited(artifact, run.settings.base_url) for artifact in logged if online)), "")
        except (wandb.errors.Error, OSError, ValueError) as error:  # a checkpoint is in the run folder, whatever W&B says
            return " ".join(str(error).split())


def awaited(artifact: Any, server: str) -> str:
    """Wait for an artifact, however slow its upload, and not when W&B finishes, for which FINISH_SECONDS are given; why not."""
    from wandb.sdk.artifacts.exceptions import WaitTimeoutError

    while True:
        try:
            artifact.wait(timeout=int(PATIENCE_SECONDS))
            return ""
        except WaitTimeoutError:
            if why := silence(server):
                return why


def silence(server: str) -> str:
    """Why a W&B server does not answer; nothing if it does, whatever it says."""
    found = ["it does not answer"]
    # A thread, because looking up a name knows no timeout, and each of its addresses is given its own.
    thread = Thread(target=lambda: found.append(unanswered(server)), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return found[-1]


def unanswered(server: str) -> str:
    question = Request(f"{server}/graphql", b'{"query": "{ __typename }"}', {"Content-Type": "application/json"})  # noqa: S310 - W&B's own settings say where
    try:
        urlopen(question, timeout=PATIENCE_SECONDS).close()  # noqa: S310 - the same
    except HTTPError:
        return ""
    except OSError as error:
        reason = getattr(error, "reason", error)
        return "" if isinstance(reason, ssl.SSLError) else " ".join(str(reason).split())  # whose certificates are W&B's affair
    return ""
