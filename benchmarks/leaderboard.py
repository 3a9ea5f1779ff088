"""README's leaderboard, from the tables in benchmarks/results.

    python benchmarks/leaderboard.py           # writes it
    python benchmarks/leaderboard.py --check   # fails if README shows anything else

A folder of results is what `ganzoo benchmark` left: about.json, table.csv, table.md, table.tex, runs.csv and report.html.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

from ganzoo.benchmark.statistics import Mean, readable
from ganzoo.metrics.scores import greater_is_better

REPOSITORY = Path(__file__).parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"
README = REPOSITORY / "README.md"
BEGIN, END = "<!-- leaderboard: python benchmarks/leaderboard.py -->\n", "<!-- end of leaderboard -->\n"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def mean(row: dict[str, str], of: str) -> str:
    if not row[of]:
        return "diverged" if int(row["diverged"]) else "-"
    half = (float(row[f"{of}_high"]) - float(row[f"{of}_low"])) / 2 if row[f"{of}_high"] else None
    return readable(Mean(float(row[of]), half, int(row[f"{of}_seeds"])))


def place(row: dict[str, str]) -> str:
    first, last = row["final_rank_from"], row["final_rank_to"]
    return first if first == last else f"{first}-{last}"


def leaderboard(folder: Path) -> str:
    """One suite's table, with what it takes to make it again."""
    about = json.loads((folder / "about.json").read_text())
    where = folder.relative_to(REPOSITORY)
    found = rows(folder)
    metric = found[0]["metric"]
    better = "greater" if greater_is_better(metric) else "less"
    seeds = found[0]["seeds"]
    means = "one seed" if seeds == "1" else f"means of {seeds} seeds ± 95 % intervals"
    lines = [
        f"**{about['title']}**, by `{metric}` ({better} is better; {means}). `{about['command']}`, commit "
        f"{about['commit']}, {about['processor']}, {about['hardware']} a run, torch {about['torch']}, "
        f"{about['date']}. All of it: [{where}]({where}).",
        "",
        "| rank | variant | final | best | collapsed | images seen | minutes | images/s |",
        "|--:|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for row in found:
        cells = [place(row), row["variant"], mean(row, "final"), mean(row, "best"), f"{row['collapsed']} of {row['seeds']}"]
        seen, minutes, speed = float(row["images_seen"]), float(row["seconds"]) / 60, float(row["images_per_second"])
        lines.append("| " + " | ".join([*cells, f"{seen:,.0f}", f"{minutes:.1f}", f"{speed:,.0f}"]) + " |")
    return "\n".join(lines) + "\n"


def written(readme: str) -> str:
    """README with the leaderboard of today."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    folders = sorted(path.parent for path in RESULTS.glob("*/about.json"))
    return before + BEGIN + "\n" + "\n".join(map(leaderboard, folders)) + "\n" + END + after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing: fail if it is not what README shows")
    given = parser.parse_args()
    readme = README.read_text()
    if given.check and readme != written(readme):
        sys.exit("README's leaderboard is not that of benchmarks/results: python benchmarks/leaderboard.py writes it")
    if not given.check:
        README.write_text(written(readme))


if __name__ == "__main__":
    main()
