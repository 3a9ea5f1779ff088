"""What a run left behind: its curve of scores, its cost, its configuration, its pictures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from ganzoo.callbacks.remedies import GONE
from ganzoo.metrics import stamp
from ganzoo.metrics.scores import greater_is_better
from ganzoo.metrics.stamp import Cost, Stamped
from ganzoo.run_folder import versions


@dataclass(frozen=True)
class Result:
    """One run that has come to its end.

    Args:
        name: of its folder.
        variant: as the suite calls it; seed, data likewise.
        scores: of each metric, in the order of the images seen.
        pictures: of samples, in the order of the rounds, all of the same noise.
    """

    name: str
    variant: str
    data: str
    seed: int
    cost: Cost
    scores: dict[str, list[Stamped]]
    config: dict[str, Any]
    pictures: list[Path]

    @property
    def diverged(self) -> bool:
        return self.cost.state == "diverged"

    @property
    def collapsed(self) -> bool:
        """It diverged, or its modes were gone at the end."""
        return self.diverged or GONE in (self.cost.troubles or [])

    def final(self, metric: str) -> Stamped | None:
        """The score at the end; None if the run did not get there, or has none but NaN or infinity."""
        curve = self.scores.get(metric)
        return curve[-1] if curve and not self.diverged and isfinite(curve[-1].value) else None

    def best(self, metric: str) -> Stamped | None:
        """The best of the curve; None if there is none."""
        curve = [score for score in self.scores.get(metric, []) if isfinite(score.value)]
        return max(curve, key=lambda score: score.value if greater_is_better(metric) else -score.value, default=None)


def cost_of(folder: Path) -> Cost | None:
    """Of a run that has come to its end; None of another.

    Raises:
        ValueError: the account is damaged.
    """
    path = next((version / "cost.json" for version in reversed(versions(folder))), None)
    if path is None or not path.is_file():
        return None
    try:
        return Cost(**json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error


def curves(parts: Sequence[Path]) -> dict[str, list[Stamped]]:
    """The scores of a run, by metric. Where a resumed run repeats a round, its later score counts.

    Raises:
        ValueError: a damaged file of scores.
    """
    found: dict[str, dict[int, Stamped]] = {}
    for part in parts:
        path = part / "scores.jsonl"
        for score in stamp.read(path) if path.is_file() else []:
            found.setdefault(score.protocol.metric, {})[score.origin.step or 0] = score
    return {metric: [of[step] for step in sorted(of)] for metric, of in found.items()}
