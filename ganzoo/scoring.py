"""The commands `ganzoo evaluate` and `ganzoo compare`."""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import jsonargparse
import yaml
from rich.console import Console
from rich.table import Table

from ganzoo.data.base import DataModule
from ganzoo.data.native import FileImages
from ganzoo.devices import device_called
from ganzoo.duel import truncated
from ganzoo.evaluation import Evaluator, evaluate, origin, split_of, table
from ganzoo.explain import Parser
from ganzoo.loading import game_of, import_all, read, refuse_absent
from ganzoo.metrics import stamp
from ganzoo.metrics.features import EXTRACTORS, Extractor, are_images, extractor
from ganzoo.metrics.scores import CHOICE, asked, greater_is_better, usual
from ganzoo.metrics.stamp import Stamped
from ganzoo.paths import evaluate_paths, refuse_paths

EVALUATE = """Scores of a checkpoint's samples, or of a folder of images, against real ones.

  ganzoo evaluate --checkpoint runs/dcgan_cifar10/version_0/checkpoints/last.ckpt --data.root DATA
  ganzoo evaluate REAL FAKE --metrics fd,kd --extractor effnet-lite0 --json   (two folders or .zips of images)
  ganzoo evaluate --checkpoint last.ckpt --metrics ppl   (perceptual path length, which needs no data)

A checkpoint's data are those of its run's config.yaml unless --data names others. Scores are added to scores.jsonl in
the run's folder."""


class AsWritten(jsonargparse.DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help whose description keeps its lines."""


def evaluate_command(arguments: list[str]) -> None:
    """`ganzoo evaluate`."""
    parser = evaluate_parser(arguments)
    given = parser.instantiate_classes(parser.parse_args(arguments))
    names = given.metrics.replace(" ", "").split(",") if given.metrics else []
    no_images = given.data is not None and not are_images(given.data.shape)
    given.extractor = given.extractor or ("lpips" if names == ["ppl"] else "raw" if no_images else "inception")
    data = given.data
    names = names or (usual(given.extractor, data.kind, data.valid is not None) if data else usual(given.extractor))
    if given.folders:
        if len(given.folders) != 2 or given.checkpoint:
            raise ValueError("give two folders or .zips of images, REAL FAKE, or else --checkpoint")
        asked(names, given.extractor)  # before weights are downloaded
        real, fake = given.folders
        scored = of_folders(real, fake, names, chosen(given))
    elif given.checkpoint:
        scored = of_checkpoint(given, names)
    else:
        raise ValueError("give --checkpoint, or two folders or .zips of images: ganzoo evaluate REAL FAKE")
    show(scored, given.json)


def evaluate_parser(arguments: list[str]) -> Parser:
    import_all()
    parser = Parser(prog="ganzoo evaluate", description=EVALUATE, formatter_class=AsWritten)
    parser.add_argument("folders", nargs="*", metavar="REAL FAKE", help="two folders or .zips of images")
    parser.add_argument("--checkpoint", type=Path | None, help="a .ckpt file of a run, or exported weights")
    parser.add_subclass_arguments(DataModule, "data", required=False, help="the data, if not those of the run")
    parser.add_argument("--metrics", help=f"of {', '.join(CHOICE)} (all that fit, but memorisation and ppl)")
    parser.add_argument(
        "--extractor", help=f"one of {', '.join(EXTRACTORS)} (inception; of ppl alone lpips; of what are no images raw)"
    )
    parser.add_argument("--weights", type=Path | None, help="the extractor's, instead of downloading them")
    parser.add_argument("--n", type=int, default=50_000, help="samples of the checkpoint, or steps of ppl")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--truncation", type=float | None, help="of the noise, to no more than this (none): see ganzoo sample")
    parser.add_argument("--split", choices=["train", "held_out"], default="train", help="real samples")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1; auto takes a GPU if there is one")
    parser.add_argument("--precision", choices=["float32", "tf32"], help="of the features (float32; on CUDA tf32)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, on stdout, instead of a table")
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--checkpoint", type=Path)
    checkpoint = first.parse_known_args(arguments)[0].checkpoint
    options = {argument.partition("=")[0] for argument in arguments}
    if checkpoint and "--data" not in options:
        if (config := run_folder(checkpoint) / "config.yaml").is_file():
            parser.set_defaults({"data": data_of(config)})
        elif any(option.startswith("--data.") for option in options):
            refuse_absent(checkpoint)
            raise unnamed(checkpoint)
    return parser


def unnamed(checkpoint: Path) -> ValueError:
    return ValueError(f"no config.yaml beside {checkpoint} names its data: give --data MNIST, say, and --data.root")


def data_of(config: Path) -> dict[str, Any]:
    """The data of a run, as its config.yaml names them.

    Raises:
        ValueError: it names none, or a command that gives them: a run's folder, unlike a config, is not chosen to be run.
    """
    try:
        data = yaml.safe_load(config.read_text())["data"]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{config} names no data ({type(error).__name__}): give --data") from error
    if not isinstance(data, dict):
        raise ValueError(f"{config} names no data: give --data")
    if "pipe:" in json.dumps(data, default=str):
        raise ValueError(f"{config} reads its data by a command (pipe:): give --data Shards --data.shards if you trust it")
    return data


def chosen(given: Any) -> Extractor:
    device = device_called(given.device)  # before weights are downloaded
    return extractor(given.extractor, given.weights).to(device, given.precision)


def of_folders(real: str, fake: str, names: list[str], by: Extractor) -> list[Stamped]:
    fakes = FileImages(fake)
    return Evaluator(names, by, FileImages(real), split="given")(fakes, origin(Path(fake).name, fakes.content(), by.device))


def of_checkpoint(given: Any, names: list[str]) -> list[Stamped]:
    if given.n < 1 or given.seed < 0:
        raise ValueError("--n must be at least 1 and --seed at least 0")
    checkpoint = read(given.checkpoint)
    game = game_of(checkpoint)
    others = [name for name in names if name != "ppl"]
    if "ppl" in names:
        refuse_paths(game, given.extractor, given.precision)
    asked(others, given.extractor)
    by = chosen(given)
    evaluator = against_data(given, others, by) if others else None
    with given.checkpoint.open("rb") as file:
        source = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    of = (game.to(by.device), given.n, given.seed, source, checkpoint["global_step"])
    with truncated(game, given.truncation):
        scored = evaluate(evaluator, *of) if evaluator else []
        if "ppl" in names:
            scored.append(evaluate_paths(by.to(by.device, "float32"), *of))
    stamp.append(run_folder(given.checkpoint) / "scores.jsonl", scored)
    return scored


def against_data(given: Any, names: list[str], by: Extractor) -> Evaluator:
    if given.data is None:
        raise unnamed(given.checkpoint)
    given.data.prepare_data()
    given.data.setup()
    real, held_out = split_of(given.data, given.split)
    return Evaluator(names, by, real, split=given.split, held_out=held_out, data=given.data)


def run_folder(checkpoint: Path) -> Path:
    """Of a checkpoint in RUN/checkpoints; of another one, its own folder."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def show(scored: list[Stamped], as_json: bool) -> None:
    if as_json:
        print("\n".join(json.dumps(score.row()) for score in scored))
    else:
        print(table(scored))


COMPARE = """A table of the runs' latest scores, best first. Scores are ranked only if they were measured by the same protocol:
otherwise the fields that differ are named. A RUN is a run folder or a scores.jsonl."""


def compare_command(arguments: list[str]) -> None:
    """`ganzoo compare`."""
    parser = argparse.ArgumentParser("ganzoo compare", description=COMPARE, allow_abbrev=False)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--by", help="the score to rank by (the first that all runs have)")
    given = parser.parse_args(arguments)
    latest = {str(run): {score.protocol.metric: score for score in stamp.read(scores_file(run))} for run in given.runs}
    shared = [name for name in next(iter(latest.values())) if all(name in scored for scored in latest.values())]
    by = given.by or next(iter(shared), None)
    if by is None or by not in shared:
        names = "; ".join(f"{run} has {', '.join(scored)}" for run, scored in latest.items())
        raise ValueError(f"the runs have no score {by or ''} in common: {names}".replace("  ", " "))
    differences = [note for name in shared for note in differing(name, latest)]
    order = list(latest) if differences else ranked(latest, by)
    Console(width=1000).print(comparison(latest, shared, order))  # long lines rather than cut numbers
    if differences:
        raise ValueError("not ranked, for these cannot be compared: " + "; ".join(differences))


def scores_file(run: Path) -> Path:
    path = run / "scores.jsonl" if run.is_dir() else run
    if not path.is_file():
        raise FileNotFoundError(f"there are no scores at {path.absolute()}: ganzoo evaluate --checkpoint writes them")
    return path


def differing(metric: str, latest: dict[str, dict[str, Stamped]]) -> list[str]:
    """In which field the runs' protocols of a metric differ from the first run's."""
    (first, scored), *others = latest.items()
    notes = []
    for run, theirs in others:
        if found := stamp.difference(scored[metric].protocol, theirs[metric].protocol):
            notes.append(f"{metric}: {found[0]} is {found[1]} in {first} and {found[2]} in {run}")
    return notes


def ranked(latest: dict[str, dict[str, Stamped]], by: str) -> list[str]:
    return sorted(latest, key=lambda run: latest[run][by].value, reverse=greater_is_better(by))


def comparison(latest: dict[str, dict[str, Stamped]], metrics: list[str], order: list[str]) -> Table:
    made = Table("run", "variant", "images seen", *metrics, box=None, pad_edge=False)
    for run in order:
        scored = latest[run]
        of = scored[metrics[0]].origin
        values = [
            f"{s.value:.4g}" + (f" +- {s.error:.2g}" if s.error is not None else "") for s in (scored[m] for m in metrics)
        ]
        made.add_row(run, of.name, "" if of.images_seen is None else f"{of.images_seen:,}", *values)
    return made
