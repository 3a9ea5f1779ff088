"""The commands: sample, list, and the way to the others."""

import argparse
import sys
from pathlib import Path

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException as MisconfigurationException
from torch import Tensor

from ganzoo import scoring
from ganzoo.benchmark.command import benchmark_command
from ganzoo.conditional import OfKinds
from ganzoo.duel import truncated
from ganzoo.explain import nearest
from ganzoo.export import export_command
from ganzoo.game import Game, draw_from
from ganzoo.listing import CONFIGS, bundled, listing
from ganzoo.loading import load
from ganzoo.pictures import picture, save_each
from ganzoo.published import import_command
from ganzoo.signals import Stopped as Stopped
from ganzoo.training import train


def run(command: str, arguments: list[str]) -> None:
    """Run one command of `ganzoo`."""
    if command == "list":
        argparse.ArgumentParser("ganzoo list", description="The variants and their configs.").parse_args(arguments)
        print(listing())
    elif command == "sample":
        sample(arguments)
    elif command == "evaluate":
        scoring.evaluate_command(arguments)
    elif command == "benchmark":
        benchmark_command(arguments)
    elif command == "compare":
        scoring.compare_command(arguments)
    elif command == "export":
        export_command(arguments)
    elif command == "import":
        import_command(arguments)
    elif command == "tune":
        from ganzoo.tune.command import tune_command  # which needs this module

        tune_command(arguments)
    else:
        train([command, *with_configs_found(arguments)])


def with_configs_found(arguments: list[str]) -> list[str]:
    """Replace each --config that is no file by the bundled config of that name.

    Raises:
        FileNotFoundError: it is neither; the nearest bundled names are given.
    """
    found = []
    is_config = False
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if is_config:
            argument = find_config(argument)
        elif flag in ("--config", "-c") and equals:
            argument = f"{flag}={find_config(value)}"
        is_config = argument in ("--config", "-c")
        found.append(argument)
    return found


def find_config(name: str) -> str:
    if Path(name).is_file():
        return name
    if path := bundled(name, CONFIGS):
        return str(path)
    near = nearest(name, sorted(path.name for path in CONFIGS.glob("*.yaml")))
    raise FileNotFoundError(f"no config {name}, neither at {Path(name).absolute()} nor among the bundled ones{near}")


def sample(arguments: list[str]) -> None:
    """`ganzoo sample`: from a checkpoint to one PNG or a folder of PNGs."""
    parser = argparse.ArgumentParser("ganzoo sample", description="Pictures from a checkpoint.", allow_abbrev=False)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a .ckpt file of a run, or exported weights")
    parser.add_argument(
        "--out", type=Path, default=Path("samples.png"), help="a .png for one grid, or a folder for single PNGs"
    )
    parser.add_argument("--n", type=int, default=64, help="how many (64)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    parser.add_argument(
        "--class",
        dest="label",
        type=int,
        help="only this class of a class-conditional variant, or this category of InfoGAN's first code",
    )
    parser.add_argument(
        "--truncation", type=float, help="the largest value of the Gaussian noise, such as 0.5: better samples, less varied"
    )
    given = parser.parse_args(arguments)
    if given.out.suffix not in ("", ".png"):
        raise ValueError(f"--out {given.out} is neither a .png, for one grid, nor a folder, for single PNGs")
    if given.n < 1 or given.seed < 0:
        raise ValueError("--n must be at least 1 and --seed at least 0")
    game = load(given.checkpoint)
    draw_from(game.device, given.seed)
    with truncated(game, given.truncation):
        samples = asked_for(game, given.n, given.label)
    if given.out.suffix == ".png":
        given.out.parent.mkdir(parents=True, exist_ok=True)
        picture(samples).save(given.out)
    else:
        save_each(samples, given.out)
    print(f"{given.n} samples: {given.out}", file=sys.stderr)


def asked_for(game: Game, n: int, label: int | None) -> Tensor:
    """n samples, of one class if a label is given: float32 [n, *shape].

    Raises:
        ValueError: a label, where there are no classes.
    """
    if label is None:
        return game.sample(n)
    if not isinstance(game, OfKinds) or not game.kinds:
        raise ValueError(f"{type(game).__name__} is not class-conditional: leave out --class")
    return game.sample(n, torch.full((n,), label))
