"""What an option may be while it is tuned."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, whole ones if both are, or one of `choices`."""

    low: Any = None
    high: Any = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def examples(self) -> tuple[Any, ...]:
        """Values that must all be right for the range to be."""
        return self.choices or (self.low, self.high)

    def suggest(self, trial: Any, name: str) -> Any:
        """What Optuna wants to know next. Its storage takes no lists: these are given as text."""
        if self.choices:
            return trial.suggest_categorical(name, [scalar(choice) for choice in self.choices])
        suggest = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return suggest(name, self.low, self.high, log=self.log)

    def sweep(self) -> dict[str, Any]:
        """The same to a W&B sweep."""
        if self.choices:
            return {"values": list(self.choices)}
        whole = isinstance(self.low, int)
        names = {(True, False): "int_uniform", (True, True): "q_log_uniform_values", (False, True): "log_uniform_values"}
        kind = names.get((whole, self.log), "uniform")
        return {"distribution": kind, "min": self.low, "max": self.high} | ({"q": 1} if whole and self.log else {})


def range_of(name: str, given: Any) -> Range:
    """A range as a file declares it.

    Raises:
        ValueError: it is none, in one line.
    """
    form = f"{name} is a range {{low: 1e-5, high: 1e-2, log: true}} or {{choices: [1, 2]}}"
    if name.startswith("-"):
        raise ValueError(f"write {name.lstrip('-')} without dashes")
    if not isinstance(given, Mapping):
        raise ValueError(f"{form}, not {given}")
    if set(given) == {"choices"}:
        if not isinstance(given["choices"], list) or not given["choices"]:
            raise ValueError(f"{name} needs a list of choices, at least one")
        return Range(choices=tuple(given["choices"]))
    if not {"low", "high"} <= set(given) <= {"low", "high", "log"} or not isinstance(given.get("log", False), bool):
        raise ValueError(f"{form}, not {dict(given)}")
    low, high, log = number(name, given["low"]), number(name, given["high"]), given.get("log", False)
    if low > high:
        raise ValueError(f"{name} goes from {low} to {high}: low must not be above high")
    if log and low <= 0:
        raise ValueError(f"{name} has log: true, so low must be above 0, not {low}")
    if not (isinstance(low, int) and isinstance(high, int)):
        low, high = float(low), float(high)
    return Range(low, high, log)


def number(name: str, value: Any) -> float:
    """YAML reads 1e-5 as text: to it a float has a dot."""
    try:
        return value if isinstance(value, int | float) and not isinstance(value, bool) else float(str(value))
    except ValueError as error:
        raise ValueError(f"{name}: low and high are numbers, not {value}") from error


def scalar(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)


def option(name: str, value: Any) -> str:
    """As on the command line of `ganzoo fit`."""
    return f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
