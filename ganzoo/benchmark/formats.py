"""Tables for spreadsheets, for a README and for a paper."""

import csv as files
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from ganzoo.benchmark.results import Result
from ganzoo.benchmark.statistics import Mean, Rank, decimals, readable
from ganzoo.benchmark.tables import Row, Table
from ganzoo.metrics.scores import greater_is_better


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
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


def lasting(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes / 60:.1f} h" if minutes >= 100 else f"{minutes:.1f} min" if minutes >= 1 else f"{seconds:.0f} s"


# --- for readers ---


def heading(table: Table) -> str:
    return f"{table.data} {measured(table)}"


def measured(table: Table) -> str:
    by = table.protocol
    if by is None:
        return f"by {table.metric}"
    return f"by {table.metric}: {by.n_fake:,} samples, {by.n_real:,} real images ({by.split}), {by.extractor}"


def markdown(table: Table) -> str:
    """GitHub's."""
    shown = columns(table)
    lines = [
        f"**{in_markdown(heading(table))}** (means over seeds ± 95 % intervals; * leaves out diverged seeds)",
        "",
        "| " + " | ".join(in_markdown(column.name) for column in shown) + " |",
        "|" + "|".join(":--" if column.name == "variant" else "--:" for column in shown) + "|",
        *("| " + " | ".join(in_markdown(column.text(row)) for column in shown) + " |" for row in table.rows),
    ]
    if table.notes:
        lines += ["", *(f"- {in_markdown(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def in_markdown(text: str) -> str:
    return "".join("\\" + letter if letter in "\\`*_|<>[]~" else letter for letter in one_line(text))


def latex(table: Table) -> str:
    """For booktabs."""
    shown = columns(table)
    form = "".join("l" if column.name == "variant" else "r" for column in shown)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{in_latex(heading(table))}. Means over seeds and their 95\,\% intervals; * leaves out diverged seeds.}}",
        rf"  \begin{{tabular}}{{{form}}}",
        r"    \toprule",
        "    " + " & ".join(in_latex(column.name) for column in shown) + r" \\",
        r"    \midrule",
        *("    " + " & ".join(in_latex(column.text(row)) for column in shown) + r" \\" for row in table.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        *(rf"  \par\footnotesize {in_latex(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}


def in_latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in one_line(text))


def one_line(text: str) -> str:
    return " ".join(text.split())


# --- for machines ---


def csv(tables: Sequence[Table]) -> str:
    """One line for each variant of each table, numbers as they are."""
    return written(
        {
            "data": table.data,
            "metric": table.metric,
            "variant": row.variant,
            "seeds": len(row.results),
            **spread("final", row.final, row.final_rank),
            **spread("best", row.best, row.best_rank),
            "decline": row.decline,
            "collapsed": row.collapsed,
            "diverged": row.diverged,
            **{name: found and found.value for name, found in row.others.items()},
            "images_seen": row.images_seen,
            "seconds": row.seconds,
            "images_per_second": row.images_per_second,
            "memory_bytes": row.memory_bytes,
            "weights": sum(row.weights.values()),
            **{f"weights_{player}": count for player, count in row.weights.items()},
            "protocol": table.protocol and json.dumps(asdict(table.protocol)),
        }
        for table in tables
        for row in table.rows
    )


def spread(name: str, mean: Mean | None, rank: Rank | None) -> dict[str, Any]:
    return {
        name: mean and mean.value,
        f"{name}_low": mean and mean.low,
        f"{name}_high": mean and mean.high,
        f"{name}_seeds": mean.n if mean else 0,
        f"{name}_rank_from": rank and rank.first,
        f"{name}_rank_to": rank and rank.last,
    }


def runs(results: Sequence[Result], metric: str) -> str:
    """One line for each run."""
    return written(run(result, metric) for result in results)


def run(result: Result, metric: str) -> dict[str, Any]:
    final, best, cost = result.final(metric), result.best(metric), result.cost
    return {
        "variant": result.variant,
        "data": result.data,
        "seed": result.seed,
        "metric": metric,
        "final": final and final.value,
        "best": best and best.value,
        "best_step": best and best.origin.step,
        "best_images_seen": best and best.origin.images_seen,
        "images_seen": cost.images_seen,
        "seconds": cost.seconds,
        "images_per_second": cost.images_per_second,
        "memory_bytes": cost.memory_bytes,
        "collapsed": result.collapsed,
        "diverged": result.diverged,
        "commit": cost.commit,
        "device": cost.device,
    }


def written(rows: Iterable[dict[str, Any]]) -> str:
    """CSV whose columns are all that any row has; what is None is empty."""
    listed = list(rows)
    file = io.StringIO()
    writer = files.DictWriter(file, list(dict.fromkeys(name for row in listed for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return file.getvalue()
