"""What README shows is what the code is and does."""

import csv
import re
import sys

import pytest
from conftest import REPOSITORY

import ganzoo
from ganzoo.__main__ import COMMANDS
from ganzoo.listing import CONFIGS, paper, variants

README = (REPOSITORY / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [example] = [block for block in blocks("python") if "import ganzoo" in block]
    scope: dict = {}
    exec(example.replace("L.Trainer(", "L.Trainer(accelerator='cpu', enable_progress_bar=False, logger=False, "), scope)
    assert scope["images"].shape == (16, 1, 16, 16)


def test_the_example_variant_is_the_real_one():
    [example] = [block for block in blocks("python") if "class RaGAN" in block]
    source = {
        line.partition("  # ")[0].strip() for line in (REPOSITORY / "ganzoo" / "models" / "ragan.py").read_text().splitlines()
    }
    assert all(line.strip() in source for line in example.splitlines() if line.strip())


def test_commands_and_configs_exist():
    for line in "\n".join(blocks("bash")).splitlines():
        for command in re.findall(r"ganzoo (\w+)", line):
            assert command in COMMANDS
        for config in re.findall(r"--config (\w+\.yaml)", line):
            assert (CONFIGS / config).is_file(), config
        for name in re.findall(r"--(?:model|data|trainer.logger) ([A-Z]\w+)", line):
            assert name in ganzoo.__all__


def test_every_variant_has_a_row():
    for variant in variants():
        row = next(line for line in README.splitlines() if line.startswith(f"| `{variant.__name__}` |"))
        assert paper(variant)["link"] in row
        assert paper(variant)["year"] in row


def test_every_link_leads_somewhere():
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^##+ (.+)$", README, re.MULTILINE)}
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", README):
        assert (REPOSITORY / target).exists(), target
        assert not anchor or anchor in headings, anchor


def test_every_benchmark_is_told_of():
    """A section of benchmarks/README.md was once lost with an edit of its neighbour."""
    benchmarks = REPOSITORY / "benchmarks"
    pages = [REPOSITORY / "README.md", benchmarks / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    told = "".join(page.read_text() for page in pages)
    programs = [path.name for path in benchmarks.iterdir() if path.suffix in (".py", ".yaml", ".csv", ".png")]
    assert "imputation.csv" in programs
    assert not [name for name in programs if name not in told]


# --- the leaderboard ---

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import leaderboard  # noqa: E402

RESULTS = sorted(path.parent for path in leaderboard.RESULTS.glob("*/about.json"))


def test_the_leaderboard_is_that_of_the_results(monkeypatch):
    assert RESULTS
    monkeypatch.setattr(sys, "argv", ["leaderboard.py", "--check"])
    leaderboard.main()
    monkeypatch.setattr(leaderboard, "RESULTS", REPOSITORY / "tests")  # where there are none
    with pytest.raises(SystemExit, match="is not that of benchmarks/results"):
        leaderboard.main()


@pytest.mark.parametrize("folder", RESULTS, ids=lambda folder: folder.name)
def test_tables_are_those_of_their_runs(folder):
    with (folder / "runs.csv").open(newline="") as file:
        runs = list(csv.DictReader(file))
    for row in leaderboard.rows(folder):
        finals = [float(run["final"]) for run in runs if run["variant"] == row["variant"] and run["final"]]
        assert len(finals) == int(row["final_seeds"])
        if finals:
            assert float(row["final"]) == pytest.approx(sum(finals) / len(finals))
    for name in ("table.md", "table.tex", "report.html"):
        assert (folder / name).is_file()
