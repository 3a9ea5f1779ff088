"""What the site says of classes, in Markdown whose links are of the repository: /ganzoo/models/gan.py, /docs/data.md."""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

from docstrings import arguments, definition, description, markdown, raises

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import leaderboard  # noqa: E402

import ganzoo  # noqa: E402
from ganzoo.listing import CONFIGS, configs, paper, variants, weights  # noqa: E402

PAGES = {  # whose classes are those of these modules
    "data.md": ["ganzoo.data"],
    "networks.md": ["ganzoo.networks", "ganzoo.augment", "ganzoo.ada"],
    "options.md": ["ganzoo.callbacks", "ganzoo.loggers"],
}
CODE = {".py": "python", ".yaml": "yaml"}


def by_paper() -> list[Any]:
    """The variants in the order of their papers: arXiv counts them."""
    return sorted(variants(), key=lambda kind: (paper(kind)["year"], paper(kind)["link"]))


def source(kind: type) -> str:
    return f"{kind.__module__.replace('.', '/')}.py"


def classes(modules: Iterable[str]) -> list[type]:
    """The exported ones; what others are built on comes last."""
    exported = [getattr(ganzoo, name) for name in ganzoo.__all__]
    inside = tuple(f"{module}." for module in modules)
    found = [kind for kind in exported if isinstance(kind, type) and f"{kind.__module__}.".startswith(inside)]
    return sorted(found, key=lambda kind: ((kind.__doc__ or "").startswith(("Base ", "Parent ")), kind.__name__.lower()))


DESCRIBED = {kind.__name__: f"/docs/{page}#{kind.__name__.lower()}" for page in PAGES for kind in classes(PAGES[page])}
DESCRIBED |= {kind.__name__: f"/{source(kind)}" for kind in variants()}
link = DESCRIBED.get


def listing(path: Path) -> str:
    return f"````{CODE[path.suffix]}\n{path.read_text().rstrip()}\n````\n"


def folded(kind: str, title: str, text: str) -> str:
    return f'??? {kind} "{title}"\n\n{indent(text, "    ")}\n' if text else ""


def described(page: str) -> Iterator[str]:
    """The classes of a page."""
    for kind in classes(PAGES[page]):
        options = dict(arguments(kind))
        yield f"## {kind.__name__}\n\n{description(kind, link)}"
        yield from (definition(terms, what, link) for terms, what in options.pop(kind, []))
        if others := ", ".join(markdown(f"`{base.__name__}`", link) for base in options):
            yield f"Besides, the options of {others}.\n"
        yield folded("failure", "Refused", raises(kind, link))


def variant(kind: Any) -> Iterator[str]:
    """The page of a variant."""
    about = paper(kind)
    yield f"# {kind.__name__}\n\n*[{about['title']}]({about['link']})*: {about['authors']}, {about['year']}\n"
    yield description(kind, link)
    if shown := " ".join(f"![{path.stem}](/{path.relative_to(REPOSITORY).as_posix()})" for path in pictures(kind)):
        yield f"{shown}\n{{: .samples }}\n"
    yield f"## Train it\n\n```bash\n{commands(kind)}\n```\n"
    yield from (folded("example", f"{name}.yaml", listing(CONFIGS / f"{name}.yaml")) for name in configs(kind))
    counts = ", ".join(f"{player} {count:,}" for player, count in weights(kind).items())
    yield f"Weights, of samples of {' x '.join(map(str, kind.usual_shape))}: {counts}.\n"
    if found := list(results(kind.__name__)):
        yield "\n".join(["## Benchmarks\n", *found])
    yield "## Options\n\n`--model.NAME VALUE` on the command line, keyword arguments in Python.\n"
    for base, options in arguments(kind):
        shown = "\n".join(definition(terms, what, link) for terms, what in options)
        yield shown if base is kind else folded("note", f"Those of {base.__name__}", shown)
    yield folded("failure", "Refused", raises(kind, link))
    yield f"## The code\n\n`{source(kind)}`, all of it:\n\n{listing(REPOSITORY / source(kind))}"


def pictures(kind: type) -> list[Path]:
    """Those whose names begin with that of the variant's file, and with no other variant's that is longer."""
    stems = sorted((Path(source(kind)).stem for kind in variants()), key=len)
    found = sorted((REPOSITORY / "benchmarks").rglob("*.png"))
    whose = {path: [stem for stem in stems if f"{path.stem}_".startswith(f"{stem}_")] for path in found}
    return [path for path in found if whose[path][-1:] == [Path(source(kind)).stem]]


def commands(kind: Any) -> str:
    """What trains the variant: the commands in the headers of its configs."""
    headers = "".join((CONFIGS / f"{config}.yaml").read_text() for config in configs(kind))
    found = dict.fromkeys(re.findall(r"^#\s+(ganzoo fit .*)$", headers, re.MULTILINE))
    return "\n".join(found) or f"ganzoo fit --model {kind.__name__}"


def results(name: str) -> Iterator[str]:
    """The variant's rows of all tables, each under what made the table."""
    for folder in sorted(path.parent for path in leaderboard.RESULTS.glob("*/about.json")):
        about, blank, *table = leaderboard.leaderboard(folder).replace("](", "](/").splitlines()
        rows = [row for row in table[2:] if row.split("|")[2].partition("+")[0].strip() == name]
        if rows:
            yield "\n".join([about, blank, *table[:2], *rows, ""])
