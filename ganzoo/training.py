"""`ganzoo fit`, `validate` and `test`: LightningCLI with run folders, and runs that survive what happens to them."""

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # Lightning's use of jsonargparse, not the user's

import jsonargparse
import lightning as L
import torch.distributed as dist
import yaml
from lightning.pytorch.callbacks import ProgressBar as LightningProgressBar
from lightning.pytorch.cli import LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities import rank_zero_only

from ganzoo.callbacks.budget import Budget
from ganzoo.callbacks.checkpoints import Checkpoints
from ganzoo.callbacks.collapse import CollapseWatch
from ganzoo.callbacks.evaluation import Evaluation
from ganzoo.callbacks.progress import ProgressBar
from ganzoo.callbacks.remedies import NOT_FINITE, remedies
from ganzoo.callbacks.samples import SampleGrid
from ganzoo.checkpoint_files import CheckpointFiles
from ganzoo.data.base import DataModule
from ganzoo.evaluation import table
from ganzoo.explain import Parser
from ganzoo.game import Diverged, Game
from ganzoo.loading import import_all
from ganzoo.loggers import Wandb
from ganzoo.record import Record
from ganzoo.run_folder import RunFolder, latest, unfinished
from ganzoo.signals import Stopped
from ganzoo.strategy import replace_ddp
from ganzoo.wandb_files import id_of


def train(arguments: list[str]) -> None:
    import_all()
    replace_ddp()
    for noise in QUIET:
        warnings.filterwarnings("ignore", noise)
    advice = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    advice.addFilter(lambda record: not any(noise in record.getMessage() for noise in ADVICE))
    attempt = Attempt()
    try:
        while attempt.unfinished:
            attempt.play(arguments)
    finally:
        if attempt.folder:
            attempt.folder.release()


# Lightning's advice that does not apply here.
QUIET = [
    ".*LightningCLI's args parameter is intended.*",
    ".*LeafSpec.*is deprecated.*",
    ".*Experiment logs directory .* exists and is not empty.*",  # the run folder, which other loggers may fill first
    ".*does not have many workers.*",  # batches are one indexing call
    ".*The number of training batches.*smaller than the logging interval.*",
    ".*You defined a `validation_step` but have no `val_dataloader`.*",
    ".*is not supported by the model summary.*",  # which takes weights for float32, as they are in mixed precision
]
ADVICE = ["litlogger", "Tensor Cores"]  # rounds take TF32 (`ganzoo.precision`)


class Attempt:
    """A run, which goes back to its latest checkpoint, and on with other noise, when its numbers go bad."""

    def __init__(self) -> None:
        self.unfinished = True
        self.noise = 0
        self.folder: RunFolder | None = None
        self.cli: CLI | None = None

    def play(self, arguments: list[str]) -> None:
        """Train until the end, or until there is NaN or infinity.

        Raises:
            Diverged: that, too often.
        """
        try:
            CLI(
                self,
                Game,
                DataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                auto_configure_optimizers=False,
                save_config_callback=LoggedConfig,
                save_config_kwargs={"save_to_log_dir": False},
                seed_everything_default=0,
                parser_class=Parser,
                trainer_defaults={"max_steps": 10_000, "use_distributed_sampler": False, "num_sanity_val_steps": 0},
                args=arguments,
            )
            self.unfinished = False
        except Diverged as error:
            assert self.cli is not None  # or who would have played
            config, game, trainer = self.cli.config[self.cli.subcommand], self.cli.model, self.cli.trainer
            together = trainer.world_size == 1 or error.everywhere
            if self.noise >= config.rollbacks or config.trainer.logger is False or not together:
                tried = f", also with other noise ({self.noise} times)" if self.noise else ""
                advice = remedies(game, NOT_FINITE, config.trainer.max_steps)
                raise Diverged(f"{error}{tried}: try {', or '.join(advice)}" if advice else f"{error}{tried}") from error
            self.noise += 1
            if trainer.is_global_zero:
                back = "; back to the latest checkpoint, and on with other noise"
                print(f"ganzoo: {error}{back} ({self.noise} of {config.rollbacks} times)", file=sys.stderr)


class CLI(LightningCLI):
    """LightningCLI with the data's shape and classes linked to the model, a run folder, and the callbacks."""

    def __init__(self, attempt: Attempt, *args: Any, **kwargs: Any) -> None:
        self.attempt, attempt.cli = attempt, self
        super().__init__(*args, **kwargs)

    def add_arguments_to_parser(self, parser: Any) -> None:
        parser.link_data_to_model()
        # Called in this order, checkpoints last: what one of them holds has been recorded by then.
        parser.add_lightning_class_args(SampleGrid, "samples")
        parser.add_lightning_class_args(CollapseWatch, "watch")
        parser.add_lightning_class_args(Evaluation, "evaluation")
        parser.add_lightning_class_args(Budget, "budget")
        parser.add_lightning_class_args(Checkpoints, "checkpoints")
        parser.add_argument("--runs", default="runs", help="Folder of run folders: RUNS/CONFIG/version_0, version_1, ...")
        parser.add_argument("--resume", default=True, type=bool, help="Go on with a run of the same config that was stopped.")
        parser.add_argument(
            "--rollbacks", default=2, type=int, help="How often to go back to the latest checkpoint from NaN or infinity."
        )

    def _parse_ckpt_path(self) -> None:
        """Lightning would let the checkpoint's arguments override the command line's; Game refuses weights that do not fit."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        of = Path(config.runs) / run_name(config)
        self.checkpoint: str | None = config.get("ckpt_path")
        self.goes_on = False
        path = of
        if getattr(rank_zero_only, "rank", 0) == 0 and config.trainer.logger is not False and not config.trainer.fast_dev_run:
            path = self.claim(of).path
        # The local record is always kept; other loggers come beside it and write into the same folder.
        self.record = Record(path)
        for logger in as_list(config.trainer.logger):
            if isinstance(logger, jsonargparse.Namespace) and logger.init_args.get("save_dir") == ".":
                logger.init_args.save_dir = str(path)
                if logger.class_path.endswith("Wandb") and not logger.init_args.get("id"):
                    logger.init_args.id = id_of(path)  # of its earlier part, if it goes on

    def claim(self, of: Path) -> RunFolder:
        """The folder of this run: a new one, or that of the run which it goes on with, from its latest checkpoint."""
        config, attempt = self.config[self.subcommand].clone(), self.attempt
        if self.subcommand == "fit" and config.ckpt_path == "last":
            attempt.folder = attempt.folder or latest(of)
            config.ckpt_path = yaml.safe_load(attempt.folder.config.read_text())["ckpt_path"]  # with which it began
        text = self._parser(self.subcommand).dump(config, skip_none=False)
        if self.subcommand == "fit" and config.resume and not attempt.folder:
            attempt.folder = unfinished(of, text)
        before = attempt.folder
        attempt.folder = before or RunFolder.new(of)
        attempt.folder.write(text)
        if before is not None:
            self.checkpoint, self.goes_on = go_on(before) or config.ckpt_path, True
        return attempt.folder

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        given = self._get(self.config_init, "trainer")
        loggers = [logger for logger in as_list(given["logger"]) if not isinstance(logger, bool)]
        kwargs["logger"] = False if given["logger"] is False else [self.record, *loggers]
        if given["max_epochs"] is not None or given["min_epochs"] is not None:
            raise ValueError("ganzoo counts rounds, not epochs: give --trainer.max_steps instead of max_epochs and min_epochs")
        kwargs["callbacks"] = as_list(given["callbacks"])
        if given["enable_progress_bar"] is not False and not any(
            isinstance(c, LightningProgressBar) for c in kwargs["callbacks"]
        ):
            kwargs["callbacks"].append(ProgressBar())
        kwargs["enable_checkpointing"] = None  # Lightning would refuse `false` because our callback is there
        trainer = super().instantiate_trainer(**kwargs)
        self.checkpoints = self._get(self.config_init, "checkpoints")
        if given["enable_checkpointing"] is False:
            trainer.callbacks.remove(self.checkpoints)  # type: ignore[attr-defined]
        trainer.strategy.checkpoint_io = CheckpointFiles()
        return trainer

    def fit(self, model: Game, **how: Any) -> None:
        """What the command does: train, from the checkpoint that the first rank has chosen."""
        model.noise = self.attempt.noise
        how["ckpt_path"] = agreed(self.trainer, self.checkpoint)
        for logger in self.trainer.loggers if self.goes_on else []:
            if isinstance(logger, Wandb):
                logger.catch_up(self.record.numbers())
        try:
            self.trainer.fit(model, **how)
        except Exception as error:
            if not self.checkpoints.told_between_rounds(self.trainer, model):
                raise
            raise Stopped(self.checkpoints.signals.received, self.trainer.global_step) from error

    def after_fit(self) -> None:
        folder = self.trainer.log_dir  # a broadcast: all ranks ask
        if self.trainer.is_global_zero and folder:
            print(f"run folder: {folder}\nsamples: {self.config_init.fit.samples.path}", file=sys.stderr)
            if self.config_init.fit.evaluation.scores:
                print(table(self.config_init.fit.evaluation.scores), file=sys.stderr)


class LoggedConfig(SaveConfigCallback):
    """The config in W&B and the other loggers."""

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        config = self.parser.dump(self.config, format="json", skip_validation=True)
        for logger in trainer.loggers:
            if not isinstance(logger, Record):
                logger.log_hyperparams(json.loads(config))


def go_on(folder: RunFolder) -> str | None:
    """The checkpoint to go on from, if there is one; all that was recorded after it is forgotten."""
    newest = folder.newest()
    if newest is None:
        folder.cut(0, -1)
        return None
    folder.cut(newest.step, newest.measured_at)
    print(f"{folder.path} goes on after round {newest.step:,} (--resume false begins anew)", file=sys.stderr)
    return str(newest.path)


def agreed(trainer: L.Trainer, checkpoint: str | None) -> str | None:
    """The first rank's checkpoint, on all ranks, before any of them has begun."""
    if trainer.world_size == 1:
        return checkpoint
    strategy: Any = trainer.strategy
    if not dist.is_initialized():
        if FIRST_RANKS in os.environ and not trainer.is_global_zero:  # Lightning has started this process, after the first one
            return os.environ[FIRST_RANKS] or None
        if strategy.launcher is not None:
            os.environ[FIRST_RANKS] = checkpoint or ""
            return checkpoint
        strategy.setup_environment()
    return strategy.broadcast(checkpoint)


FIRST_RANKS = "GANZOO_CHECKPOINT"  # in the environment of processes that Lightning starts


def as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def run_name(config: jsonargparse.Namespace) -> str:
    """The first config file's name without its ending, or variant_data.

    Raises:
        ValueError: a name that would lead out of the folder of runs.
    """
    files = as_list(config.get("config"))
    if files:
        name = Path(str(files[0])).stem
        if name in ("", ".", ".."):
            raise ValueError(f"a run cannot be called {name!r}, as the config {files[0]} would have it: rename that file")
        return name
    return "_".join(str(config[part].class_path).rpartition(".")[2].lower() for part in ("model", "data"))
