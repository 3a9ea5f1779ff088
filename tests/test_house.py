"""Rules of the house that a machine can check (CONTRIBUTING.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ganzoo

HOUSE = Path(ganzoo.__file__).parent
FILES = sorted(path for path in HOUSE.rglob("*.py") if path.name != "__init__.py")

# What a part of the house may import from the rest of it, besides its own part. The command line may import all.
ALLOWED = {
    "one_hot": set(),
    "networks": {"one_hot"},
    "augment": {"networks"},
    "ada": {"augment", "networks"},
    "losses": set(),
    "recipe": set(),
    "pictures_of_rows": set(),
    "pictures": {"pictures_of_rows", "pictures_of_series", "pictures_of_strings", "texts"},
    "pictures_of_series": {"metrics"},
    "pictures_of_strings": set(),
    "tables": {"data", "texts"},
    "texts": set(),
    "loggers": {"metrics", "wandb_files"},
    "wandb_files": set(),
    "data": {"one_hot", "texts"},
    "compiling": {"drawing"},
    "drawing": set(),
    "precision": set(),
    "lifeline": set(),
    "strategy": {"lifeline", "networks"},
    "optimizers": {"precision"},
    "game": {"recipe", "compiling", "precision", "loading", "optimizers"},
    "schedules": set(),
    "transfer": {"game", "loading", "networks"},
    "duel": {"game", "networks", "augment", "transfer", "schedules"},
    "conditional": {"game", "duel", "networks"},
    "growing": {"game", "duel", "networks", "schedules"},
    "translation": set(),
    "imputation": {"data", "game", "metrics", "one_hot", "translation"},
    "image_to_image": {"game", "duel", "networks", "schedules", "translation"},
    "upscaling": {"game", "duel", "metrics", "translation"},
    "models": {
        *("game", "duel", "conditional", "growing", "styles", "losses", "networks", "schedules", "optimizers"),
        *("image_to_image", "upscaling", "metrics", "imputation"),
    },
    "callbacks": {
        *(
            "optimizers",
            "game",
            "duel",
            "conditional",
            "image_to_image",
            "imputation",
            "pictures_of_rows",
            "pictures",
            "data",
            "evaluation",
            "metrics",
            "laboratory",
            "loggers",
            "loading",
            "translation",
            "tables",
        ),
        *("checkpoint_files", "signals"),
    },
    "signals": set(),
    "record": {"data"},
    "checkpoint_files": {"loading", "data"},
    "run_folder": {"record", "loading", "data"},
    "styles": {"duel"},
    "walks": {"game", "duel", "conditional", "styles", "pictures"},
    "grids": {"game", "duel", "conditional", "styles", "walks"},
    "laboratory": {"game", "duel", "losses", "pictures"},
    "loading": {"game"},
    "metrics": {"precision", "texts"},
    "progress": {"metrics"},
    "references": {"data", "metrics", "progress"},
    "evaluation": {"game", "image_to_image", "pictures", "data", "metrics", "progress", "references", "tables"},
    "paths": {"evaluation", "game", "metrics", "precision", "progress", "walks"},
}
LIGHTNING_FREE = {"precision", "networks", "augment", "ada", "losses", "recipe", "pictures", "metrics"}


def part(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names of everything a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_go_one_way(path):
    mine = part(path)
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "ganzoo" and rest and mine in ALLOWED:
            assert rest.split(".")[0] in ALLOWED[mine] | {mine}, f"{mine} must not import {name}"
        if mine in LIGHTNING_FREE:
            assert top not in ("lightning", "pytorch_lightning"), f"{mine} must not know Lightning"


@pytest.mark.parametrize("path", sorted((HOUSE / "models").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_a_variant_fits_beside_its_paper(path):
    assert len(path.read_text().splitlines()) <= 140
    source = path.read_text()
    for banned in (".item()", "numpy", "print(", "self.log"):
        assert banned not in source, f"{banned} in a variant: losses are pure"


def test_the_whole_public_interface_is_exported():
    classes = {
        node.name
        for folder in ("models", "networks", "data", "callbacks")
        for path in (HOUSE / folder).glob("[a-z]*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    internal = {
        "Block",
        "Architecture",
        "UpBlock",
        "Layers",
        "Samples",
        "RowSamples",
        "Column",
        "Cells",
        "StringSamples",
        "PartlyLabelledSamples",
        "PairedSamples",
        "UnpairedSamples",
        "Targets",
        "UnpairedStream",
        "HalfDecoder",
        "Stream",
        "CropStream",
        "Middles",
        "Pairs",
        "Photographs",
        "WholeDecoder",
        "WholeImages",
        "ResidentStream",
        "Rounds",
        "Files",
        "Decoder",
        "ImageSet",
        "FileImages",
        "SplitSamples",
        "Fetched",
        "Shard",
        "ShardSamples",
        "ShardStream",
        "Count",
        "AllReduced",
        "SynchronisedBatchNorm",
        "SynchronisedBatchNorm1d",
        "SynchronisedBatchNorm2d",
    }
    assert {name for name in classes if not name.startswith("_")} - internal <= set(ganzoo.__all__)


def test_every_exported_name_has_a_docstring():
    for name in ganzoo.__all__:
        assert (getattr(ganzoo, name).__doc__ or "").strip(), name


@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "mypy"])
def test_lint(command):
    done = subprocess.run([sys.executable, "-m", *command.split()], cwd=HOUSE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
