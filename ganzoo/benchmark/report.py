"""A benchmark as one page of HTML: it opens from a disk, needs no network, and everything in it can be looked into."""

import base64
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from ganzoo.benchmark.columns import Column, costs, measured, qualities
from ganzoo.benchmark.curves import COLOURS, plot
from ganzoo.benchmark.results import Result
from ganzoo.benchmark.tables import Row, Table, unique
from ganzoo.metrics.stamp import Stamped

SIDE, SMALL_SIDE, MANY = 400, 280, 100  # pixels of a picture; of one among more than so many
STAGES = 4  # of training that the first seed shows


def report(title: str, tables: Sequence[Table], about: dict[str, str]) -> str:
    """The page.

    Args:
        about: what the reader is told of the benchmark: its command, commit, hardware, date.
    """
    runs = {f"r{i}": of for i, of in enumerate(of for table in tables for row in table.rows for of in row.results)}
    places = {variant: i for i, variant in enumerate(unique(row.variant for table in tables for row in table.rows))}
    side = SIDE if sum(1 for table in tables for _ in chosen(table)) <= MANY else SMALL_SIDE
    twins = [[of for of in tables if of.data == table.data] for table in tables]  # of other protocols
    called = [
        of.data if len(same) == 1 else f"{of.data} ({same.index(of) + 1})" for of, same in zip(tables, twins, strict=True)
    ]
    page = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html")
    return page.render(
        title=title,
        about=about,
        sections=[{"name": called[i], **section(table, i, places, side)} for i, table in enumerate(tables)],
        second=next((name for name, of in runs.items() if of.variant != runs["r0"].variant), None),
        runs={name: label(of) for name, of in runs.items()},
        configs={name: flat(of.config) for name, of in runs.items()},
        details=details,
        colours=COLOURS,
    )


def section(table: Table, number: int, places: dict[str, int], side: int) -> dict[str, Any]:
    """What the template shows of a table."""
    plots = []
    for k, metric in enumerate((table.metric, *table.others)):
        drawn = [plot(table, metric, against, places, f"s{number}-{k}-{against}") for against in ("images_seen", "seconds")]
        plots.append((short(metric, table), [Markup(svg) for svg in drawn if svg]))  # noqa: S704 - what it holds is escaped
    return {
        "id": f"s{number}",
        "table": table,
        "measured": measured(table),
        "quality": grid(qualities(table), table),
        "cost": grid(costs(), table),
        "intervals": dict(zip([row.variant for row in table.rows], intervals(table), strict=True)),
        "places": places,
        "plots": [(metric, drawn) for metric, drawn in plots if drawn],
        "pictures": pictures(table, side),
    }


def short(metric: str, table: Table) -> str:
    """Without the extractor, which the heading names."""
    return metric.removesuffix("_" + table.protocol.extractor.replace("-", "_")) if table.protocol else metric


def grid(columns: list[Column], table: Table) -> dict[str, Any]:
    """Cells of a table as (text, value to sort by)."""
    ends = {name: short(name, table) for name in (table.metric, *table.others)}
    heads = [(column.name, " ".join(ends.get(word, word) for word in column.name.split(" "))) for column in columns]
    variant = Column("variant", lambda row: row.variant, lambda row: row.variant.lower())
    if all(column.name != "variant" for column in columns):
        columns, heads = [variant, *columns], [("variant", "variant"), *heads]
    return {"heads": heads, "rows": [(row, [(of.text(row), of.value(row)) for of in columns]) for row in table.rows]}


def label(result: Result) -> str:
    return f"{result.variant}, {result.data}, seed {result.seed}"


# --- the intervals as a picture ---


def intervals(table: Table) -> list[tuple[float, float, float] | None]:
    """Low, mean and high of each row's final score, in percent of the width; on a logarithmic scale where they differ much."""
    means = [row.final for row in table.rows]
    ends = [(of.value - (of.half or 0), of.value, of.value + (of.half or 0)) if of else None for of in means]
    values = [value for of in ends if of for value in of]
    if not values:
        return ends
    logarithmic = min(values) > 0 and max(values) > 8 * min(values)

    def scaled(value: float) -> float:
        return math.log(value) if logarithmic else value

    low, high = scaled(min(values)), scaled(max(values))
    width = (high - low) or 1.0
    return [of and tuple(round(4 + 92 * (scaled(value) - low) / width, 2) for value in of) for of in ends]  # type: ignore[misc]


# --- pictures ---


def stages(result: Result) -> list[Path]:
    """A few pictures of a run, evenly over its training; the last one is its last."""
    n = min(STAGES, len(result.pictures))
    return [result.pictures[round((i + 1) * len(result.pictures) / n) - 1] for i in range(n)]


def chosen(table: Table) -> Iterator[tuple[Row, Result, int, Path]]:
    """(row, run, stage, picture): the stages of each row's first run, the last picture of the others."""
    for row in table.rows:
        for i, of in enumerate(row.results):
            shown = stages(of) if i == 0 else of.pictures[-1:]
            for k, path in enumerate(shown, STAGES - len(shown)):
                if path.is_file():
                    yield row, of, k, path


def pictures(table: Table, side: int) -> dict[str, Any]:
    """Of each variant: (seed, stage, what is written under it, data URI)."""
    shown: dict[str, list[tuple[int, int, str, str]]] = {row.variant: [] for row in table.rows}
    for row, of, stage, path in chosen(table):
        shown[row.variant].append((of.seed, stage, caption(path), embedded(path, side)))
    seeds = sorted({seed for found in shown.values() for seed, *_ in found})
    staged = sorted({seed for found in shown.values() for seed, stage, *_ in found if stage < STAGES - 1})
    return {"shown": shown, "seeds": seeds, "staged": staged, "stages": STAGES}


def caption(path: Path) -> str:
    """step-00000500.png -> round 500."""
    number = path.stem.removeprefix("step-")
    return f"round {int(number):,}" if number.isdecimal() else path.stem


def embedded(path: Path, side: int) -> str:
    """A data URI of at most `side` pixels."""
    file = io.BytesIO()
    with Image.open(path) as image:
        small = image.convert("RGB")
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        small.save(file, format="WEBP", quality=85, method=2)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


# --- configurations and stamps ---


def details(result: Result, metric: str) -> dict[str, Any]:
    """What is behind a run: its configuration as YAML; the stamps of its last score and of the run."""
    last: Stamped | None = (result.scores.get(metric) or [None])[-1]  # type: ignore[list-item]
    stamps = {"cost": result.cost._asdict()} | (
        {"protocol": asdict(last.protocol), "origin": asdict(last.origin)} if last else {}
    )
    return {
        "config": yaml.safe_dump(result.config, sort_keys=False, allow_unicode=True),
        "stamps": {name: {key: value.strip('"') for key, value in flat(stamp).items()} for name, stamp in stamps.items()},
    }


def flat(config: Any, before: str = "") -> dict[str, str]:
    """`model.init_args.lr` -> its value as JSON. What has a class in a list goes by the class, for lists differ in order."""
    if isinstance(config, dict) and config:
        items = [(str(key), value) for key, value in config.items()]
    elif isinstance(config, list) and any(isinstance(item, dict) for item in config):
        kinds = [str(item.get("class_path", "")).rpartition(".")[2] if isinstance(item, dict) else "" for item in config]
        items = [(kind if kind and kinds.count(kind) == 1 else str(i), config[i]) for i, kind in enumerate(kinds)]
    else:
        return {before: json.dumps(config, default=str, ensure_ascii=False)} if before else {}
    return {k: v for key, value in items for k, v in flat(value, f"{before}.{key}" if before else key).items()}
