"""The commands: list, and the way to the others."""

import argparse
from pathlib import Path

from lightning.pytorch.utilities.exceptions import MisconfigurationException as MisconfigurationException

from ganzoo import scoring
from ganzoo.benchmark.command import benchmark_command
from ganzoo.explain import nearest
from ganzoo.export import export_command
from ganzoo.imputing import impute_command
from ganzoo.listing import CONFIGS, bundled, listing
from ganzoo.published import import_command
from ganzoo.sampling import sample_command
from ganzoo.signals import Stopped as Stopped
from ganzoo.training import train
from ganzoo.translating import translate_command


def run(command: str, arguments: list[str]) -> None:
    """Run one command of `ganzoo`."""
    if command == "list":
        argparse.ArgumentParser("ganzoo list", description="The variants and their configs.").parse_args(arguments)
        print(listing())
    elif command == "sample":
        sample_command(arguments)
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
    elif command == "translate":
        translate_command(arguments)
    elif command == "impute":
        impute_command(arguments)
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
