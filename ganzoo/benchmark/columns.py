"""What a reader sees of a table: its columns, each as text and as a value to sort by."""

from collections.abc import Callable
from typing import NamedTuple

from ganzoo.benchmark.statistics import Rank, decimals, readable
from ganzoo.benchmark.tables import Row, Table
from ganzoo.metrics.scores import greater_is_better


def heading(table: Table) -> str:
    return f"{table.data} {measured(table)}"


def measured(table: Table) -> str:
    by = table.protocol
    if by is None:
        return f"by {table.metric}"
    of = "real samples" if by.extractor == "raw" else "real images"
    return f"by {table.metric}: {by.n_fake:,} samples, {by.n_real:,} {of} ({by.split}), {by.extractor}"


class Column(NamedTuple):
    """Of a table for readers.

    Args:
        value: to sort by; None sorts last.
    """

    name: str
    text: Callable[[Row], str]
    value: Callable[[Row], float | str | None]


def columns(table: Table) -> list[Column]:
    """What Markdown and LaTeX show."""
    return [*qualities(table), *costs()]


def qualities(table: Table) -> list[Column]:
    metric = table.metric
    return [
        Column("rank", lambda row: dashed(row.final_rank), lambda row: place(row.final_rank)),
        Column("variant", lambda row: row.variant, lambda row: row.variant.lower()),
        Column(f"{metric} {arrow(metric)}", final, lambda row: row.final and row.final.value),
        Column("best", lambda row: readable(row.best, missing="-"), lambda row: row.best and row.best.value),
        Column("rank of best", lambda row: dashed(row.best_rank), lambda row: place(row.best_rank)),
        *(other(name) for name in table.others),
    ]


def costs() -> list[Column]:
    """How surely it trains, and what it asks for: medians over seeds, but of memory the most."""
    return [
        Column("final - best", lambda row: signed(row.decline), lambda row: row.decline),
        Column("collapsed", lambda row: f"{row.collapsed}/{len(row.results)}", lambda row: row.collapsed / len(row.results)),
        Column("diverged", lambda row: f"{row.diverged}/{len(row.results)}", lambda row: row.diverged / len(row.results)),
        Column("images seen", lambda row: counted(row.images_seen), lambda row: row.images_seen),
        Column("training", lambda row: lasting(row.seconds), lambda row: row.seconds),
        Column("images/s", lambda row: f"{row.images_per_second:,.0f}", lambda row: row.images_per_second),
        Column("memory", lambda row: f"{row.memory_bytes / 2**20:,.0f} MiB", lambda row: row.memory_bytes),
        Column("weights", lambda row: counted(sum(row.weights.values())), lambda row: sum(row.weights.values())),
        Column("of each player", each, each),
    ]


def other(name: str) -> Column:
    return Column(
        f"{name} {arrow(name)}",
        lambda row: readable(row.others[name], missing="-"),
        lambda row: (found := row.others[name]) and found.value,
    )


def each(row: Row) -> str:
    return ", ".join(f"{player} {counted(count)}" for player, count in row.weights.items())


def final(row: Row) -> str:
    """Marked where it leaves out the seeds that diverged."""
    missing = "diverged" if row.diverged else "-"
    return readable(row.final, missing=missing) + (" *" if row.diverged and row.final else "")


def arrow(metric: str) -> str:
    return "↑" if greater_is_better(metric) else "↓"


def place(rank: Rank | None) -> float | None:
    return None if rank is None else rank.first + rank.last / 1000  # of equal firsts, the narrower before


def dashed(rank: Rank | None) -> str:
    return "-" if rank is None else str(rank)


def signed(value: float | None) -> str:
    """To two digits, never as a power of ten."""
    return "-" if value is None else f"{value:+.{decimals(value, None, 2)}f}" if value else "0"


def counted(number: float) -> str:
    """Thousands as k, millions as M, to three digits."""
    number = float(f"{number:.3g}")  # before its size is looked at: 999,680 is 1 M
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


def lasting(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes / 60:.1f} h" if minutes >= 100 else f"{minutes:.1f} min" if minutes >= 1 else f"{seconds:.0f} s"
