"""A suite: variants x data x seeds, one budget, one protocol. Its runs are configs of `ganzoo fit`."""

import re
from copy import deepcopy
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import yaml

from ganzoo.data.base import DataModule
from ganzoo.explain import Parser, explain, nearest
from ganzoo.game import Game
from ganzoo.listing import CONFIGS, bundled
from ganzoo.loading import import_all
from ganzoo.metrics.scores import reported

SUITES = CONFIGS / "suites"
Section = dict[str, Any]
ELSEWHERE = ("root", "download", "cache", "workers", "device_share")  # where data lie, and how they are read


@dataclass(frozen=True)
class Run:
    """One run of a suite.

    Args:
        name: of its config and its folder.
        config: of `ganzoo fit`, complete.
    """

    name: str
    variant: str
    data: str
    seed: int
    config: Section

    @property
    def rounds(self) -> int | None:
        """None where time is the budget."""
        rounds = self.config["trainer"]["max_steps"]
        return rounds if rounds > 0 else None


@dataclass
class Suite:
    """A suite as its YAML file says it.

    Args:
        name: of the file.
        title: a line for the tables.
        variants: the name in the tables -> what is particular in its `model` section; `class_path` is the name if not given.
        data: the name in the tables -> a `data` section.
        seeds: one run each.
        budget: `images`, real ones that every run sees, or `minutes` of training.
        points: evaluations of a run, evenly spaced, the last at the end.
        evaluation: an `evaluation` section: its first metric's first score is what variants are ranked by.
        model: what all variants' `model` sections have in common.
        fit: every other section of a config that all runs have in common.
    """

    name: str
    variants: dict[str, Section]
    data: dict[str, Section]
    evaluation: Section
    budget: dict[str, float]
    title: str = ""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    points: int = 5
    model: Section = field(default_factory=dict)
    fit: Section = field(default_factory=dict)

    @property
    def score(self) -> str:
        """What variants are ranked by."""
        by = self.evaluation.get("best")
        return by or reported(self.evaluation.get("metrics", ["fd"]), self.evaluation.get("extractor", "inception"))[0]

    def runs(self) -> list[Run]:
        """All of them, seed by seed, so that a table of everyone is there early.

        Raises:
            ValueError: a variant or its data cannot be made as the suite says.
        """
        rounds = {(variant, data): self._rounds(variant, data) for data in self.data for variant in self.variants}
        return [
            Run(safe(f"{variant}-{data}-{seed}"), variant, data, seed, self._config(variant, data, seed, rounds[variant, data]))
            for seed in self.seeds
            for data in self.data
            for variant in self.variants
        ]

    def _rounds(self, variant: str, data: str) -> int | None:
        """Between two evaluations; None where time is the budget."""
        config = self._common(variant, data)
        try:
            game, source = built(config)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{variant} on {data} in the suite {self.name}: {explain(str(error))}") from None
        if "minutes" in self.budget:
            return None
        devices = config.get("trainer", {}).get("devices", 1)
        devices = len(devices) if isinstance(devices, list) else devices
        if not isinstance(devices, int) or devices < 1:
            raise ValueError(f"--trainer.devices {devices} does not say how many images a round sees: give a number")
        return max(1, round(self.budget["images"] / self.points / (game.minibatches * source.batch_size * devices)))

    def _common(self, variant: str, data: str) -> Section:
        model = merged(self.model, {"class_path": variant} | self.variants[variant])
        return deepcopy(self.fit) | {"model": model, "data": deepcopy(self.data[data])}

    def _config(self, variant: str, data: str, seed: int, every: int | None) -> Section:
        config = {"seed_everything": seed} | self._common(variant, data)
        if every is None:
            minutes = self.budget["minutes"]
            steps: dict[str, Section] = {
                "trainer": {"max_steps": -1},
                "evaluation": {"every_minutes": minutes / self.points},
                "budget": {"minutes": minutes},
            }
        else:
            often = {"every_steps": every}
            steps = {"trainer": {"max_steps": every * self.points}, "evaluation": often}
            steps |= {"checkpoints": often, "samples": often, "watch": often}
        usual = merged({"trainer": {"limit_val_batches": 0}, "evaluation": self.evaluation}, config)
        return merged(usual, steps)


def read(name: str, changes: list[str]) -> Suite:
    """A bundled suite by its name, or any by its path.

    Args:
        changes: `--data.root DATA`, `--trainer.precision bf16-mixed` ...: options of `ganzoo fit` for all runs.

    Raises:
        ValueError: a suite that is none.
        FileNotFoundError: there is none of that name.
    """
    path = Path(name) if Path(name).is_file() else bundled(name, SUITES)
    if path is None:
        known = sorted(path.stem for path in SUITES.glob("*.yaml"))
        raise FileNotFoundError(f"there is no suite {name}{nearest(name, known)}; bundled are {', '.join(known)}")
    try:
        said = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    return changed(made(path.stem, said), changes)


def made(name: str, said: Any) -> Suite:
    names = [each.name for each in fields(Suite) if each.name != "name"]
    if not isinstance(said, dict):
        raise ValueError(f"the suite {name} must be a mapping with {', '.join(names)}")
    for key in said:
        if key not in names:
            raise ValueError(f"the suite {name} has no use for {key}{nearest(key, names)}")
    for key in ("variants", "data", "evaluation", "budget"):
        if not said.get(key):
            raise ValueError(f"the suite {name} has no {key}")
    if isinstance(said["variants"], list):
        said["variants"] = dict.fromkeys(said["variants"])
    suite = Suite(name, **said | {"variants": {variant: of or {} for variant, of in said["variants"].items()}})
    if list(suite.budget) not in (["images"], ["minutes"]) or min(suite.budget.values()) <= 0:
        raise ValueError(f"the suite {name}: a budget is either `images: N` or `minutes: N`, above 0, not {suite.budget}")
    if suite.points < 1 or not suite.seeds or len(set(suite.seeds)) < len(suite.seeds):
        raise ValueError(f"the suite {name}: points must be at least 1, and seeds different numbers")
    return suite


def changed(suite: Suite, changes: list[str]) -> Suite:
    """The suite with options of `ganzoo fit` for all its runs."""
    for option, value in pairs(changes):
        section, *keys = option.split(".")
        if not keys:
            raise ValueError(f"--{option} is no option of a benchmark, nor of its runs' (--data.root DATA, say)")
        nested: Any = value
        for key in reversed(keys if section not in ("model", "data") else in_classes(keys)):
            nested = {key: nested}
        if section == "data":
            suite.data = {name: merged(of, nested) for name, of in suite.data.items()}
        elif section == "model":  # over what a variant says itself: the command line wins
            suite.variants = {name: merged(of, nested) for name, of in suite.variants.items()}
        elif section == "evaluation":
            suite.evaluation = merged(suite.evaluation, nested)
        else:
            suite.fit = merged(suite.fit, {section: nested})
    return suite


def in_classes(keys: list[str]) -> list[str]:
    """The way to an argument of an argument, as YAML has it: generator.width is in init_args.generator.init_args.width."""
    found: list[str] = []
    for key in keys:
        said = key in ("class_path", "init_args") or found[-1:] == ["init_args"]
        found += [key] if said else ["init_args", key]
    return found


def pairs(changes: list[str]) -> list[tuple[str, Any]]:
    """`--a.b 1` and `--a.b=1` as ("a.b", 1).

    Raises:
        ValueError: what is no such pair.
    """
    found = []
    words = iter(changes)
    for word in words:
        option, equals, value = word.partition("=")
        if not option.startswith("--"):
            raise ValueError(f"{word} is not expected here: options are --a.b VALUE")
        value = value if equals else next(words, None)  # type: ignore[assignment]
        if value is None:
            raise ValueError(f"{option} needs a value")
        found.append((option.removeprefix("--"), yaml.safe_load(value)))
    return found


def merged(below: Section, above: Section) -> Section:
    """`above` over `below`. Where they name different classes, nothing of the lower one's arguments is kept. A class may also
    stand there by its name alone."""
    if "class_path" in above and below.get("class_path", above["class_path"]) != above["class_path"]:
        return deepcopy(above)
    both = deepcopy(below)
    for key, value in above.items():
        was = {"class_path": both[key]} if isinstance(both.get(key), str) else both.get(key)
        both[key] = merged(was, value) if isinstance(value, dict) and isinstance(was, dict) else deepcopy(value)
    return both


def built(config: Section, device: str = "meta") -> tuple[Game, DataModule]:
    """The game that a config names, and the data, unread. On `meta` the weights take no memory, and no time to draw."""
    import_all()
    parser = Parser()
    parser.add_subclass_arguments(DataModule, "data")
    parser.add_subclass_arguments(Game, "model")
    parser.link_data_to_model()
    given = parser.parse_object({part: config[part] for part in ("model", "data")})
    with torch.device(device):
        made = parser.instantiate_classes(given)
    return made.model, made.data


def identity(config: Section) -> Section:
    """What two configs must have in common if one's result is to stand for the other's: all but where things lie."""
    kept = {part: of for part, of in config.items() if part not in ("samples", "checkpoints")}
    kept["trainer"] = {key: value for key, value in config["trainer"].items() if key != "logger"}
    arguments = config["data"].get("init_args", {})
    there = {key: value for key, value in arguments.items() if key not in ELSEWHERE}
    return kept | {"data": config["data"] | {"init_args": there}}


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """a.b.c -> value."""
    if not isinstance(config, dict) or not config:
        return {prefix: config}
    return {
        key: value
        for part, of in config.items()
        for key, value in flat(of, f"{prefix}.{part}" if prefix else str(part)).items()
    }


def difference(one: Section, other: Section) -> tuple[str, Any, Any] | None:
    """The first option in which two configs differ, and both values; None if one's result can stand for the other's."""
    here, there = flat(identity(one)), flat(identity(other))
    for key in [*here, *there]:
        if here.get(key) != there.get(key):
            return key.replace(".init_args", ""), here.get(key), there.get(key)
    return None


def safe(name: str) -> str:
    """As the name of a folder."""
    return re.sub(r"[^\w.+-]+", "_", name)
