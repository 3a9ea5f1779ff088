"""`ganzoo benchmark SUITE`."""

import argparse
import hashlib
import json
import logging
import os
import platform
import re
import shlex
import sys
import warnings
from collections import Counter
from dataclasses import replace
from datetime import date
from heapq import heapreplace
from pathlib import Path

import torch
import yaml
from rich.console import Console
from rich.table import Table

from ganzoo.benchmark import formats, schedulers, tables
from ganzoo.benchmark.columns import final
from ganzoo.benchmark.estimate import Measuring, costs, measuring, prepare
from ganzoo.benchmark.folder import BUSY, DONE, RESUME, Folder
from ganzoo.benchmark.report import report
from ganzoo.benchmark.results import Cost, Result
from ganzoo.benchmark.runner import Local, Place, places
from ganzoo.benchmark.statistics import readable
from ganzoo.benchmark.suite import SUITES, Run, Suite, merged, read
from ganzoo.data.cache import replacing
from ganzoo.tune.runs import status_of, terminable

DESCRIPTION = """Variants x data x seeds, all with one budget, measured by one protocol: a table that can be believed.

  ganzoo benchmark smoke                                    minutes on a CPU
  ganzoo benchmark mnist-small --data.root DATA             options of ganzoo fit, for all runs
  ganzoo benchmark cifar10-small --devices cuda:0 cuda:1    a run on each GPU
  ganzoo benchmark cifar10-paper --on slurm --with slurm_partition=gpu timeout_min=600 gpus_per_node=1

A run that is done is never run again, and one that was stopped goes on where it was: stop at any time, and give the same
command again. Several of these commands may share a folder.

Bundled suites: {suites}"""


def benchmark_command(arguments: list[str]) -> None:
    given, changes = parse(arguments)
    suite = chosen(read(given.suite, changes), given)
    out = given.out or Path("runs") / suite.name
    runs = suite.runs()
    if given.wandb is not None:
        runs = [logged(run, given.wandb or suite.name, out) for run in runs]
    folder = Folder(out)
    console = Console(stderr=True)
    failures: dict[str, str] = {}
    if not given.table:
        folder.refuse_others(runs)
        try:
            with terminable():
                failures = play(suite, runs, folder, given, console)
        except KeyboardInterrupt as interrupt:
            console.print("stopped: the same command goes on from here")
            sys.exit(status_of(interrupt))
        if given.plan:
            return
    command = shlex.join(["ganzoo", "benchmark", *(word for word in arguments if word != "--table")])
    tabulate(suite, runs, folder, command, console)
    if failures:
        names = ", ".join(failures)
        raise ValueError(f"{len(failures)} of {len(runs)} runs failed, and are tried again by the same command: {names}")


def tabulate(suite: Suite, runs: list[Run], folder: Folder, command: str, console: Console) -> None:
    """The tables of all runs that are done, into the folder and, in short, onto the terminal.

    Raises:
        ValueError: none is.
    """
    results = [result for run in runs if (result := folder.result(run))]
    if not results:
        raise ValueError(f"there is nothing to tabulate yet: no run in {folder.path} is done")
    made = tables.tables(results, suite.score)
    told = about(command, results)
    files = {
        "table.md": "\n".join(map(formats.markdown, made)),
        "table.csv": formats.csv(made),
        "table.tex": "\n".join(map(formats.latex, made)),
        "runs.csv": formats.runs(results, suite.score),
        "report.html": report(suite.title or suite.name, made, told),
        "about.json": json.dumps({"suite": suite.name, "title": suite.title} | told, indent=1) + "\n",
    }
    for name, text in files.items():
        with replacing(folder.path / name) as file:
            file.write(text.encode())
    for table in made:
        console.print(in_short(table))
        for note in table.notes:
            console.print(note, highlight=False, markup=False)
    console.print(f"{', '.join(files)}: {folder.path}", highlight=False, soft_wrap=True)


def about(command: str, results: list[Result]) -> dict[str, str]:
    """What a reader needs to make the tables again."""
    costs = [result.cost for result in results]
    return {
        "command": command,
        "commit": ", ".join(dict.fromkeys(str(cost.commit) for cost in costs)),
        "hardware": ", ".join(dict.fromkeys(hardware(cost) for cost in costs)),
        "processor": processor(),
        "torch": ", ".join(dict.fromkeys(cost.torch for cost in costs)),
        "date": date.today().isoformat(),
    }


def hardware(cost: Cost) -> str:
    """Of one run."""
    threads = "1 thread" if cost.threads == 1 else f"{cost.threads} threads"
    return threads if (cost.devices, cost.device) == (1, "cpu") else f"{cost.devices} x {cost.device}, {threads}"


def processor() -> str:
    """This machine's."""
    cpuinfo = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.is_file() else None
    return f"{named[1] if named else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def in_short(of: tables.Table) -> Table:
    """For a terminal: places and scores."""
    made = Table("rank", "variant", f"final {of.metric}", "best", "collapsed", "images/s", box=None, pad_edge=False)
    for row in of.rows:
        values = [final(row), readable(row.best), f"{row.collapsed} of {len(row.results)}"]
        made.add_row(str(row.final_rank or ""), row.variant, *values, f"{row.images_per_second:,.0f}")
    return made


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    bundled = ", ".join(sorted(path.stem for path in SUITES.glob("*.yaml")))
    parser = argparse.ArgumentParser(
        "ganzoo benchmark",
        description=DESCRIPTION.format(suites=bundled),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("suite", help="the name of a bundled suite, or a YAML file")
    parser.add_argument("--out", type=Path, help="folder of the runs and the tables (runs/SUITE)")
    parser.add_argument("--variants", nargs="+", help="only these")
    parser.add_argument("--seeds", nargs="+", type=int, help="these, instead of the suite's")
    parser.add_argument(
        "--plan",
        action="store_true",
        help="show what is to be done and, by a few rounds of each, what it costs; downloads data and weights that it lacks",
    )
    parser.add_argument("--table", action="store_true", help="make the tables of what is there, and run nothing")
    parser.add_argument(
        "--devices", nargs="+", default=[], help="cpu, cuda:0 ...: a run on each at a time; they share the cores"
    )
    parser.add_argument("--on", choices=["local", "slurm", "ray"], default="local", help="where runs are played (local)")
    parser.add_argument("--with", dest="how", nargs="+", default=[], metavar="KEY=VALUE", help="for SLURM (submitit) or Ray")
    parser.add_argument("--wandb", nargs="?", const="", metavar="PROJECT", help="log runs to W&B too (project: the suite)")
    return parser.parse_known_args(arguments)


def chosen(suite: Suite, given: argparse.Namespace) -> Suite:
    """Only the variants and seeds asked for."""
    if given.variants:
        if unknown := [name for name in given.variants if name not in suite.variants]:
            raise ValueError(f"the suite {suite.name} has no {', '.join(unknown)}: it has {', '.join(suite.variants)}")
        suite = replace(suite, variants={name: suite.variants[name] for name in given.variants})
    return replace(suite, seeds=list(dict.fromkeys(given.seeds))) if given.seeds else suite


def logged(run: Run, project: str, out: Path) -> Run:
    """The run with a W&B logger: grouped by variant, named by seed, the same one if it is resumed."""
    name = hashlib.sha256(f"{out.absolute()}/{run.name}".encode()).hexdigest()[:12]
    of = {"project": project, "group": f"{run.variant}-{run.data}", "name": run.name, "id": name, "resume": "allow"}
    return replace(run, config=merged(run.config, {"trainer": {"logger": {"class_path": "Wandb", "init_args": of}}}))


def play(suite: Suite, runs: list[Run], folder: Folder, given: argparse.Namespace, console: Console) -> dict[str, str]:
    """Show the plan, and do what is to be done; why those runs failed that did."""
    if given.how and given.on == "local":
        raise ValueError("--with is for --on slurm or --on ray")
    states = {run.name: folder.state(run.name) for run in runs}
    todo = [run for run in runs if states[run.name] != DONE]
    at = places(given.devices) if given.on == "local" else []
    if todo:
        quietly()
        by, seconds = estimated(todo, runs, folder, suite.points, at, console) if at else ({}, {})
        console.print(plan(runs, states, seconds))
        console.print(total(todo, states, seconds, by, at), highlight=False, soft_wrap=True)
    elif given.plan:
        console.print("nothing is left to do")
    if not todo or given.plan:
        return {}
    folder.write(runs)
    names = [run.name for run in todo]
    if given.on == "local":
        for of in by.values():
            prepare(of, suite.evaluation, console)
        return Local(folder, at, console, ended=lambda name: told(folder, runs, name, suite.score))(names)
    how = dict(pair.split("=", 1) for pair in given.how)
    options = {key: yaml.safe_load(value) for key, value in how.items()}
    return (schedulers.on_slurm if given.on == "slurm" else schedulers.on_ray)(folder, names, options)


def estimated(
    todo: list[Run], runs: list[Run], folder: Folder, points: int, at: list[Place], console: Console
) -> tuple[dict[str, Measuring], dict[tuple[str, str], float]]:
    """What evaluations take, by data set, and runs, by variant and data set, in seconds on the first of these places."""
    threads = torch.get_num_threads()
    torch.set_num_threads(at[0].threads)
    device = torch.device(at[0].device)
    with console.status("how long will it take?"):
        by = {run.data: measuring(run, device) for run in {run.data: run for run in todo}.values()}
        seconds = costs(todo, runs, folder, points, by, device)
    torch.set_num_threads(threads)
    return by, seconds


def quietly() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*LeafSpec.*")
    warnings.filterwarnings("ignore", ".*does not have many workers.*")


def plan(runs: list[Run], states: dict[str, str], seconds: dict[tuple[str, str], float]) -> Table:
    """A line for each variant and data set."""
    made = Table("variant", "data", "rounds", "seeds", "minutes a run", box=None, pad_edge=False)
    for variant, data in dict.fromkeys((run.variant, run.data) for run in runs):
        of = [run for run in runs if (run.variant, run.data) == (variant, data)]
        count = Counter(states[run.name] for run in of)
        minutes = seconds.get((variant, data))
        made.add_row(
            variant,
            data,
            "" if of[0].rounds is None else f"{of[0].rounds:,}",
            ", ".join(f"{n} {state}" for state, n in count.items()),
            f"{minutes / 60:.1f}" if minutes else "" if set(count) == {DONE} else "?",
        )
    return made


def total(
    todo: list[Run],
    states: dict[str, str],
    seconds: dict[tuple[str, str], float],
    by: dict[str, Measuring],
    at: list[Place],
) -> str:
    """One line: how many runs, and about how long all of them will take."""
    ends = [0.0] * len(at)  # of each place
    for run in todo if at else []:
        heapreplace(ends, ends[0] + seconds.get((run.variant, run.data), 0.0))  # on the place that is free first
    reference = sum(of.reference for of in by.values())
    words = [f"{len(todo)} run{'s' * (len(todo) > 1)} to do"]
    if at:
        words.append(f"about {(max(ends) + reference) / 60:.0f} minutes")
        where = Counter(place.device for place in at)
        words.append("on " + ", ".join(f"{device}, {n} at a time" if n > 1 else device for device, n in where.items()))
    if reference:
        words.append(f"{reference / 60:.0f} of them for features of real images, once")
    if resumed := sum(states[run.name] == RESUME for run in todo):
        words.append(f"{resumed} of the runs have begun, and take less")
    if busy := sum(states[run.name] == BUSY for run in todo):
        words.append(f"{busy} of them are under way in another process")
    return ", ".join(words)


def told(folder: Folder, runs: list[Run], name: str, score: str) -> str:
    """What is said of a run that is done."""
    result = folder.result(next(run for run in runs if run.name == name))
    assert result is not None  # since it is done
    end = result.final(score)
    what = "diverged" if result.diverged else f"no {score}" if end is None else f"{score} {end.value:.4g}"
    return f"{what}, {result.cost.seconds:.0f} s of training"
