"""What is to be tuned: a config, the ranges of its options, and the score that decides."""

import hashlib
import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ganzoo import cli
from ganzoo.explain import nearest
from ganzoo.listing import CONFIGS, bundled
from ganzoo.metrics.scores import greater_is_better, reported
from ganzoo.tune.ranges import Range, option, range_of

KEYS = {"config", "ranges", "score", "trials"}


@dataclass(frozen=True)
class Plan:
    """A file of ranges, checked against the config that it tunes.

    Args:
        config: as the file names it.
        arguments: further ones of `ganzoo fit`, the same in all trials.
        content: hash of the whole config, without the options that are tuned.
    """

    name: str
    config: str
    ranges: dict[str, Range]
    score: str
    trials: int
    arguments: tuple[str, ...]
    content: str

    def command(self, values: dict[str, Any]) -> list[str]:
        """Arguments of `ganzoo` for a run with these values of what is tuned."""
        options = [option(name, value) for name, value in values.items()]
        return ["fit", *fixed(self.config, self.arguments), *options, f"--evaluation.best={self.score}", "--rollbacks=0"]

    def sweep(self) -> str:
        """The same as a sweep of W&B, in YAML."""
        return yaml.safe_dump(
            {
                "program": "ganzoo",
                "name": self.name,
                "method": "bayes",
                "metric": {
                    "name": f"score/{self.score}",
                    "goal": "maximize" if greater_is_better(self.score) else "minimize",
                },
                "run_cap": self.trials,
                "early_terminate": {"type": "hyperband", "min_iter": 2},  # of evaluations
                "parameters": {name: of.sweep() for name, of in self.ranges.items()},
                "command": [
                    *("${env}", "ganzoo", "fit", "--config", self.config, *self.arguments),
                    *(f"--evaluation.best={self.score}", "--trainer.logger", "Wandb", "${args}"),
                ],
            },
            sort_keys=False,
        )


def find(name: str) -> Path:
    """The file of that path, or the bundled one of that name.

    Raises:
        FileNotFoundError: it is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    if found := bundled(name, CONFIGS / "tune"):
        return found
    near = nearest(name, sorted(path.name for path in (CONFIGS / "tune").glob("*.yaml")))
    raise FileNotFoundError(f"no tuning file {name}, neither at {path.absolute()} nor among the bundled ones{near}")


def read(path: Path, arguments: Sequence[str] = ()) -> Plan:
    """The plan in a file.

    Raises:
        ValueError: it is none, or does not fit its config: what is wrong, in one line.
        FileNotFoundError: there is no such config.
    """
    try:
        given = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict) or not {"config", "ranges"} <= given.keys():
        raise ValueError(f"{path} must have the keys config and ranges")
    if unknown := given.keys() - KEYS:
        name = sorted(map(str, unknown))[0]
        raise ValueError(f"{path} has a key {name}{nearest(name, KEYS)}: there are config, ranges, score and trials")
    if not isinstance(given["ranges"], dict) or not given["ranges"]:
        raise ValueError(f"{path} must name at least one option under ranges, such as model.lr: {{low: 1e-5, high: 1e-2}}")
    trials = given.get("trials", 20)
    if not isinstance(trials, int) or trials < 1:
        raise ValueError(f"trials in {path} must be a number from 1 on, not {trials}")
    config = str(given["config"])
    ranges = {str(name): range_of(str(name), of) for name, of in given["ranges"].items()}
    try:
        complete = checked(config, arguments, ranges)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    score = measured(complete["evaluation"], given.get("score"), path)
    content = json.dumps(complete, sort_keys=True, default=str)
    return Plan(path.stem, config, ranges, score, trials, tuple(arguments), hashlib.sha256(content.encode()).hexdigest())


def checked(config: str, arguments: Sequence[str], ranges: dict[str, Range]) -> dict[str, Any]:
    """The whole config, and that every range's ends and choices are what its option takes."""
    for i in range(max(len(of.examples) for of in ranges.values())):
        options = [option(name, of.examples[i % len(of.examples)]) for name, of in ranges.items()]
        complete(fixed(config, (*arguments, *options)))
    return complete(fixed(config, arguments))


def complete(arguments: list[str]) -> dict[str, Any]:
    """The config that `ganzoo fit` would run with, read by the command's own parser."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            cli.train(["fit", *arguments, "--print_config"])
    except SystemExit:
        pass
    return yaml.safe_load(printed.getvalue())


def fixed(config: str, arguments: Sequence[str]) -> list[str]:
    return ["--config", cli.find_config(config), *arguments]


def measured(evaluation: dict[str, Any], score: str | None, path: Path) -> str:
    """The score that decides, of those that the config measures."""
    if evaluation["every_steps"] is None and evaluation["every_minutes"] is None:
        raise ValueError(f"the config of {path} measures nothing while it trains: add --evaluation.every_steps 500, say")
    names = reported(evaluation["metrics"], evaluation["extractor"])
    if score is not None and score not in names:
        raise ValueError(f"score in {path} is one of those that its config measures, {', '.join(names)}, not {score}")
    return score or evaluation["best"] or names[0]
