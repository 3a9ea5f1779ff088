"""What a score is worth: the protocol it was measured by, whose it is, and what that run cost."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Protocol:
    """All that must be equal for two scores to be compared."""

    metric: str
    version: int  # of the metric's code here: raised when its numbers change
    settings: dict[str, int]  # the metric's own: subsets, neighbours, splits
    extractor: str
    weights: str  # hash
    resize: str
    precision: str  # of the features
    n_fake: int
    n_real: int
    split: str  # train or held_out; or "given", two folders
    reference: str  # hash of the real images
    average: bool | None  # samples of the generator's weight average; None where there is no generator
    truncation: float | None  # of the noise, to no more than this
    seed: int | None  # of the noise


@dataclass(frozen=True)
class Origin:
    """Whose score it is: free to differ."""

    name: str  # a variant, or the folder of fakes
    source: str  # hash of the checkpoint, or of the fakes; "training" inside a run
    step: int | None
    images_seen: int | None
    device: str
    ganzoo: str
    commit: str | None
    torch: str
    seconds: float | None = None  # of training, evaluations not counted


@dataclass(frozen=True)
class Stamped:
    """A score with its standard error (None where there is no cheap one), protocol and origin."""

    value: float
    error: float | None
    protocol: Protocol
    origin: Origin

    def row(self) -> dict[str, Any]:
        """All of it in one flat dictionary of JSON's types."""
        return {
            "metric": self.protocol.metric,
            "value": self.value,
            "error": self.error,
            **asdict(self.protocol),
            **asdict(self.origin),
        }


class Cost(NamedTuple):
    """What a run took, and how it ended: the content of `cost.json`."""

    state: str  # finished or diverged
    rounds: int
    images_seen: int
    seconds: float  # of training: evaluations are not counted
    images_per_second: float
    memory_bytes: int
    weights: dict[str, int]  # of each player
    troubles: list[str] | None  # at the collapse watch's last check
    device: str
    devices: int
    threads: int
    precision: str
    torch: str
    ganzoo: str
    commit: str | None


def read(path: Path) -> list[Stamped]:
    """The scores of a file of JSON lines, in order. A last line without its end, which a run was stopped at, is left out.

    Raises:
        ValueError: a line that is no score.
    """
    scores = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            row = {"seconds": None} | json.loads(line)  # earlier files have none
            protocol = Protocol(**{field.name: row[field.name] for field in fields(Protocol)})
            origin = Origin(**{field.name: row[field.name] for field in fields(Origin)})
            scores.append(Stamped(row["value"], row["error"], protocol, origin))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {number} of {path} is no score ({error})") from error
    return scores


def append(path: Path, scores: Iterable[Stamped]) -> None:
    """Add scores to a file of JSON lines, one write for all of them. A last line without its end is cut off first."""
    with path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write("".join(json.dumps(score.row()) + "\n" for score in scores).encode())


def difference(one: Protocol, other: Protocol) -> tuple[str, Any, Any] | None:
    """The first field in which two protocols differ, and both values; None if they are the same."""
    for field in fields(Protocol):
        here, there = getattr(one, field.name), getattr(other, field.name)
        if here != there:
            return field.name, here, there
    return None
