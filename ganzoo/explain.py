"""The command line's parser: its errors are one line that names the nearest right word."""

import inspect
import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

import jsonargparse
from lightning.pytorch.cli import LightningArgumentParser

import ganzoo


class Parser(LightningArgumentParser):
    """Raises ValueError with one line instead of printing sixty and exiting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def parse_args(self, args: Any = None, *more: Any, **how: Any) -> Any:
        """jsonargparse hands the null of a network's argument (--model.augment.target null) on as Python writes it."""
        inner = not self.exit_on_error and args is not None
        return super().parse_args([re.sub("=None$", "=null", arg) for arg in args] if inner else args, *more, **how)

    def link_data_to_model(self) -> None:
        """The data say what a game's samples are."""
        for name in ("shape", "classes", "widths"):
            self.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # an inner parser, whose error the outer one will report
            super().error(message, ex)
        raise ValueError(explain(message, self))


def nearest(word: str, words: Iterable[str]) -> str:
    """'; did you mean A?' or ''."""
    near = get_close_matches(word, set(words) - {word}, 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


def explain(message: str, parser: jsonargparse.ArgumentParser | None = None) -> str:
    """jsonargparse's message as one line: what is wrong, where, and the nearest right word.

    Its messages list every type that a value could have had; the innermost complaint is the one that helps.
    """
    if "Original Traceback" in message:  # of a process that reads data: its own words come last
        return message.strip().splitlines()[-1].partition("Error: ")[2] or message.strip().splitlines()[-1]
    if unknown := re.search(r"Expected a dot import path string: (\S+)", message):
        return f"there is no class {unknown[1]}{nearest(unknown[1], ganzoo.__all__)}"
    if unknown := re.search(r"Option '(\w+)' is not accepted", message):
        owners = re.findall(r"class_path[ =]'([\w.]+)'", message)
        if not owners:
            return f"there is no option {unknown[1]}"
        if owners[-1] == "torch.nn.Module":  # a network's argument, and the network still the variant's own
            return f"{unknown[1]} is an option of a network: name it first (--model.discriminator DCGANDiscriminator, say)"
        return f"{owners[-1].rpartition('.')[2]} has no option {unknown[1]}{nearest(unknown[1], arguments_of(owners[-1]))}"
    if unknown := re.search(r"(?:[Uu]nrecognized arguments: -*|does not accept option ')([\w.]+)", message):
        words = options(parser) if parser else set()
        group, dot, _ = unknown[1].partition(".")
        hint = nearest(unknown[1], words) or (nearest(group, {word.partition(".")[0] for word in words}) if dot else "")
        return f"there is no option {unknown[1]}{hint}"
    if missing := re.search(r"arguments are required: \w+\.(\w+)", message):
        return f"no {missing[1]} was given: name a config (--config dcgan_digits.yaml, say) or a --{missing[1]}"
    keys = ".".join(re.findall(r"Parser key \"([\w.]+)\"", message))
    if wrong := re.search(r"Expected a (?:<class '|typing.Literal\[)(?!NoneType)(.+?)['\]]>?\. Got value: (.*)", message):
        return f"--{keys} must be {wrong[1]}, not {wrong[2]}"
    if keys and (
        wrong := re.search(r"Errors:((?:\n +- Expected a .+)+)\n +Given value type: .+\n +Given value: (.*)", message)
    ):
        kinds = re.findall(r"Expected a (?:<class '|typing.Literal\[)(?!NoneType)(.+?)['\]]>?$", wrong[1], re.MULTILINE)
        return f"--{keys} must be {', '.join(kinds)}, not {wrong[2]}"
    complaints = [line.strip(" -") for line in message.splitlines()]
    complaints = [line for line in complaints if line and not line.startswith(_FRAME) and "NoneType" not in line]
    if keys and complaints:
        return f"--{keys}: {complaints[0]}"
    return " ".join((complaints[0] if "Union subtypes" in message else message).split())


def lost_reader(message: str) -> str | None:
    """One line for torch's error about a process that reads data; None if it is about anything else."""
    if "DataLoader worker" in message:
        ended = re.search(r"\(pid.*? ([\d, ]+)\) (?:is killed by signal: ([^.]+)|exited)", message)
        which = f" (pid {ended[1]})" if ended else ""
        how = f"was killed ({ended[2].strip()})" if ended and ended[2] else "has died"
        return f"a process that reads data{which} {how}: if memory ran out, fewer --data.workers take less"
    if late := re.search(r"DataLoader timed out after ([\d.]+) seconds", message):
        return f"a process that reads data has not answered for {late[1]} seconds: does the disk? --data.workers 0 does without"
    return None


_FRAME = ("Parser key", "Does not validate", "Subtypes", "Errors", "Given value", "Problem with given")


def options(parser: jsonargparse.ArgumentParser) -> set[str]:
    """Every long option of the parser and its subcommands, without dashes."""
    found = set()
    for action in parser._actions:
        found |= {option.lstrip("-") for option in action.option_strings}
        for subparser in action.choices.values() if isinstance(action.choices, dict) else ():
            found |= options(subparser)
    return found


def arguments_of(class_path: str) -> set[str]:
    """The names of all arguments that a class and its parents take."""
    module, _, name = class_path.rpartition(".")
    parents = inspect.getmro(getattr(import_module(module), name))
    return {argument for parent in parents for argument in inspect.signature(parent).parameters}
