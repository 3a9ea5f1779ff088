"""The command line's parser: its errors are one line that names the nearest right word."""

import inspect
import re
from difflib import get_close_matches
from typing import Any, NoReturn

import jsonargparse
from lightning.pytorch.cli import LightningArgumentParser

import ganzoo


class Parser(LightningArgumentParser):
    """Raises ValueError with one line instead of printing sixty and exiting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # an inner parser, whose error the outer one will report
            super().error(message, ex)
        raise ValueError(explain(message, self))


def nearest(word: str, words: list[str]) -> str:
    """'; did you mean A?' or ''."""
    near = get_close_matches(word, words, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else ""


def explain(message: str, parser: jsonargparse.ArgumentParser) -> str:
    """jsonargparse's message as one line: what is wrong, where, and the nearest right word.

    Its messages list every type that a value could have had; the innermost complaint is the one that helps.
    """
    if unknown := re.search(r"Expected a dot import path string: (\S+)", message):
        return f"there is no class {unknown[1]}{nearest(unknown[1], ganzoo.__all__)}"
    if unknown := re.search(r"(?:Option|Key) '?\"?([\w.]+)'?\"? is not (?:accepted|expected)", message):
        classes = re.findall(r"class_path[ =]'([\w.]+)'", message)
        words = arguments_of(classes[-1]) if classes else options(parser)
        owner = f"{classes[-1].rpartition('.')[2]} has" if classes else "there is"
        return f"{owner} no option {unknown[1]}{nearest(unknown[1], words)}"
    if unknown := re.search(r"[Uu]nrecognized arguments: (\S+)", message):
        option = unknown[1].partition("=")[0].lstrip("-")
        return f"there is no option --{option}{nearest(option, options(parser))}"
    keys = ".".join(re.findall(r"Parser key \"([\w.]+)\"", message))
    complaints = [line.strip(" -") for line in message.splitlines() if "Expected a" in line or "Problem" not in line]
    complaints = [line for line in complaints if line and not line.startswith(("Parser key", "Does not", "Subtypes", "Errors", "Given"))]
    complaints = [line for line in complaints if "NoneType" not in line] or complaints
    return f"{keys}: {complaints[0]}" if keys and complaints else " ".join(message.split())


def options(parser: jsonargparse.ArgumentParser) -> list[str]:
    """Every long option of the parser and its subcommands, without dashes."""
    found = []
    for action in parser._actions:
        found += [option.lstrip("-") for option in action.option_strings]
        if isinstance(action.choices, dict):
            for subparser in action.choices.values():
                found += options(subparser)
    return found


def arguments_of(class_path: str) -> list[str]:
    """The names of all arguments that a class and its parents take."""
    found = jsonargparse.import_object(class_path) if hasattr(jsonargparse, "import_object") else None
    return [name for parent in inspect.getmro(found) for name in inspect.signature(parent.__init__).parameters] if found else []
