"""Tables for spreadsheets, for a README and for a paper."""

import csv as files
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ganzoo.benchmark.columns import columns, heading
from ganzoo.benchmark.results import Result
from ganzoo.benchmark.statistics import Mean, Rank
from ganzoo.benchmark.tables import Table

# --- for readers ---


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
