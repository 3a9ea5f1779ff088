"""What `ganzoo list` prints, read off the variants themselves."""

import re
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import ganzoo
from ganzoo.game import Game

_PACKAGE = Path(ganzoo.__file__).parent
# In a wheel the configs are inside the package, in a checkout beside it.
CONFIGS = _PACKAGE / "configs" if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent / "configs"
_FIRST_LINE = re.compile(r'(?P<name>[^:]+): (?P<authors>.+), "(?P<title>[^"]+)", (?P<year>\d{4}), (?P<link>https://\S+)')


def bundled(name: str, folder: Path) -> Path | None:
    """The YAML file of that name in a folder of bundled ones, with or without its ending; None if there is none."""
    path = folder / (name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    return path if path.parent == folder and path.is_file() else None


def variants() -> list[type[Game]]:
    """Every variant that `ganzoo` exports: a game with a paper's file in `models/`."""
    exported = [getattr(ganzoo, name) for name in ganzoo.__all__]
    games = [thing for thing in exported if isinstance(thing, type) and issubclass(thing, Game)]
    return [game for game in games if game.__module__.startswith("ganzoo.models.")]


def paper(variant: type[Game]) -> dict[str, str]:
    """name, authors, title, year and link, from the first line of the variant's file.

    Raises:
        ValueError: the line does not have the form `name: authors, "title", year, link`.
    """
    line = (sys.modules[variant.__module__].__doc__ or "").partition("\n")[0]
    match = _FIRST_LINE.fullmatch(line)
    if not match:
        raise ValueError(f'{variant.__module__} must begin with: name: authors, "title", year, https://link')
    return match.groupdict()


def weights(variant: type[Game]) -> dict[str, int]:
    """How many weights each player trains with the variant's own networks, of ten classes if it is class-conditional."""
    with torch.device("meta"):
        players = variant(shape=variant.usual_shape, classes=10).players()
    return {name: sum(weight.numel() for weight in networks.parameters()) for name, networks in players.items()}


def configs(variant: type[Game]) -> list[str]:
    """The bundled configs that train it."""
    pattern = re.compile(rf"^\s*class_path: {variant.__name__}\s*$", re.MULTILINE)
    return sorted(path.stem for path in CONFIGS.glob("*.yaml") if pattern.search(path.read_text()))


def listing() -> str:
    """A table of the variants; weights for 64 x 64 RGB images, of variants of other samples for those of their papers."""
    table = Table("variant", "paper", "year", "weights (64 x 64 RGB)", "configs", box=None, pad_edge=False)
    for variant in sorted(variants(), key=lambda variant: (paper(variant)["year"], variant.__name__)):
        about = paper(variant)
        counts = ", ".join(f"{name[0].upper()} {count / 1e6:.1f} M" for name, count in weights(variant).items())
        table.add_row(variant.__name__, f"{about['title']} {about['link']}", about["year"], counts, ", ".join(configs(variant)))
    console = Console()
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()
