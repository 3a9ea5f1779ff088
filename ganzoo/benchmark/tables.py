"""Results as tables: one for each data set and protocol, a row for each variant."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from ganzoo.benchmark.results import Result
from ganzoo.benchmark.statistics import Mean, Rank, mean, ranks
from ganzoo.metrics import stamp
from ganzoo.metrics.scores import greater_is_better
from ganzoo.metrics.stamp import Protocol


@dataclass(frozen=True)
class Row:
    """One variant.

    Args:
        results: one a seed, in the order of the seeds.
        final: of the ranking metric at the end, over the seeds that got there.
        best: over the seeds' curves: it had the luck to be chosen.
        others: finals of the other metrics.
        decline: final minus best, its mean over seeds; positive is worse.
    """

    variant: str
    results: list[Result]
    final: Mean | None
    best: Mean | None
    final_rank: Rank | None
    best_rank: Rank | None
    others: dict[str, Mean | None]
    decline: float | None

    @property
    def diverged(self) -> int:
        return sum(result.diverged for result in self.results)

    @property
    def collapsed(self) -> int:
        """Those that diverged among them."""
        return sum(result.collapsed for result in self.results)

    @property
    def images_seen(self) -> float:
        return median(result.cost.images_seen for result in self.results)

    @property
    def seconds(self) -> float:
        return median(result.cost.seconds for result in self.results)

    @property
    def images_per_second(self) -> float:
        return median(result.cost.images_per_second for result in self.results)

    @property
    def memory_bytes(self) -> int:
        return max(result.cost.memory_bytes for result in self.results)

    @property
    def weights(self) -> dict[str, int]:
        return self.results[0].cost.weights


@dataclass(frozen=True)
class Table:
    """Rows, best first, that may be compared with each other.

    Args:
        metric: that ranks.
        protocol: of that metric; None where no run lived to be measured.
        others: the other metrics' names.
    """

    data: str
    metric: str
    protocol: Protocol | None
    rows: list[Row]
    others: list[str]
    notes: list[str]

    @property
    def greater(self) -> bool:
        return greater_is_better(self.metric)


def tables(results: Sequence[Result], metric: str) -> list[Table]:
    """In the order of the results.

    Raises:
        ValueError: no run has a score by that name.
    """
    if not any(metric in result.scores for result in results):
        names = sorted({name for result in results for name in result.scores})
        raise ValueError(f"no run has a score {metric}: they have {', '.join(names) or 'none at all'}")
    return [table for data in unique(result.data for result in results) for table in of_data(results, data, metric)]


def of_data(results: Sequence[Result], data: str, metric: str) -> list[Table]:
    """One table for each protocol that the data set was measured by."""
    mine = [result for result in results if result.data == data]
    protocols: list[Protocol | None] = unique(protocol for result in mine if (protocol := protocol_of(result, metric))) or [
        None
    ]
    groups: list[list[Result]] = [[] for _ in protocols]
    for result in mine:
        groups[protocols.index(protocol_of(result, metric) or siblings(result, mine, metric) or protocols[0])].append(result)
    made = []
    for protocol, group in zip(protocols, groups, strict=True):
        apart = [
            f"Not to be compared with the table whose {found[0]} is {found[2]}: here it is {found[1]}."
            for other in protocols
            if protocol and other and (found := stamp.difference(protocol, other))
        ]
        group = [measured_by(protocol, result, metric) for result in group]
        made.append(table(data, metric, protocol, group, apart))
    return made


def siblings(result: Result, results: Sequence[Result], metric: str) -> Protocol | None:
    """How the variant's other seeds were measured, for a run that did not live to be."""
    others = (protocol_of(other, metric) for other in results if other.variant == result.variant)
    return next((protocol for protocol in others if protocol), None)


def table(data: str, metric: str, protocol: Protocol | None, results: Sequence[Result], apart: list[str]) -> Table:
    names = unique(name for result in results for name in result.scores if name != metric)
    mixed = {name: note for name in names if (note := mixture(name, results))}
    others = [name for name in names if name not in mixed]
    found = [row(variant, results, metric, others) for variant in unique(result.variant for result in results)]
    greater = greater_is_better(metric)
    finals = ranks([row.final for row in found], [row.diverged > 0 for row in found], greater)
    bests = ranks([row.best for row in found], [row.diverged > 0 and row.best is None for row in found], greater)
    found = [replace(row, final_rank=final, best_rank=best) for row, final, best in zip(found, finals, bests, strict=True)]

    def place(row: Row) -> tuple[int, float]:
        stable = row.diverged == 0 and row.final is not None
        value = row.final if stable else row.best
        return 2 * (not stable) + (value is None), 0.0 if value is None else -value.value if greater else value.value

    found.sort(key=place)
    return Table(data, metric, protocol, found, others, [*apart, *mixed.values(), *notes(found, results, metric)])


def row(variant: str, results: Sequence[Result], metric: str, others: Sequence[str]) -> Row:
    """Without its ranks."""
    mine = sorted((result for result in results if result.variant == variant), key=lambda result: result.seed)
    ends = [(end.value, top.value) for of in mine if (end := of.final(metric)) and (top := of.best(metric))]
    declines = [top - end if greater_is_better(metric) else end - top for end, top in ends]
    return Row(
        variant,
        mine,
        final=mean([end for end, _ in ends]),
        best=mean([top.value for of in mine if (top := of.best(metric))]),
        final_rank=None,
        best_rank=None,
        others={name: mean([end.value for of in mine if (end := of.final(name))]) for name in others},
        decline=fmean(declines) if declines else None,
    )


def notes(rows: Sequence[Row], results: Sequence[Result], metric: str) -> list[str]:
    """What a reader must know before believing the numbers."""
    found = []
    seeds = {result.seed for result in results}
    for row in rows:
        n = len(row.results)
        if row.diverged:
            rest = f"its final mean is over the other {row.final.n}" if row.final else "it has no final score"
            found.append(f"{row.variant}: {row.diverged} of {n} seeds diverged; {rest}.")
        if lost := seeds - {result.seed for result in row.results}:
            missing = ", ".join(map(str, sorted(lost)))
            found.append(f"{row.variant}: {n} of {len(seeds)} runs; missing: seed {missing}.")
        if silent := [str(of.seed) for of in row.results if not of.diverged and not of.final(metric)]:
            found.append(f"{row.variant}: no final {metric} of seed {', '.join(silent)}.")
    if alone := [row.variant for row in rows if row.final and row.final.half is None]:
        found.append(f"One final score, so no interval, and ranked apart from nothing: {', '.join(alone)}.")
    for what, of in TOLD_APART.items():
        if len(values := unique(of(result) for result in results)) > 1:
            found.append(f"Runs of several {what}: {', '.join(values)}.")
    return found


TOLD_APART: dict[str, Callable[[Result], str]] = {
    "commits": lambda result: result.cost.commit or "unknown",
    "versions of ganzoo": lambda result: result.cost.ganzoo,
    "versions of torch": lambda result: result.cost.torch,
    "devices": lambda result: f"{result.cost.devices} x {result.cost.device}",
    "numbers of threads": lambda result: str(result.cost.threads),
    "precisions": lambda result: result.cost.precision,
}


# --- results ---


def protocol_of(result: Result, metric: str) -> Protocol | None:
    curve = result.scores.get(metric)
    return curve[-1].protocol if curve else None


def measured_by(protocol: Protocol | None, result: Result, metric: str) -> Result:
    """Without earlier scores by another protocol: of a run resumed with other settings."""
    curve = [score for score in result.scores.get(metric, []) if score.protocol == protocol]
    return replace(result, scores=result.scores | {metric: curve})


def mixture(metric: str, results: Sequence[Result]) -> str | None:
    """Why a further metric cannot stand in one column."""
    first, *others = unique(protocol for result in results if (protocol := protocol_of(result, metric))) or [None]
    for other in others:
        if found := stamp.difference(first, other):
            return f"{metric} is left out: its {found[0]} is {found[1]} in some runs and {found[2]} in others."
    return None


def unique(items: Iterable) -> list:
    """In order; what is equal, once. A protocol has a dictionary and no hash."""
    found: list = []
    for item in items:
        if item not in found:
            found.append(item)
    return found
