"""A hook of MkDocs that makes pages when the site is built: one for each variant, and what other pages include.

A page in docs/ may say, besides Markdown,

    <!-- include README.md#Scores -->   a file of the repository, or what it has under that heading
    <!-- classes ganzoo.data -->        all exported classes of these modules

Links are those of the repository, relative to the file that they stand in. Here they become links to the pages of the site;
a file without one gets one (`files/...`), so that the site needs nothing else.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

from docstrings import arguments, definition, description, markdown, raises
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import leaderboard  # noqa: E402

import ganzoo  # noqa: E402
from ganzoo.listing import CONFIGS, configs, paper, variants, weights  # noqa: E402

PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "adding.md", "CHANGELOG.md": "changelog.md"}
PAGES |= {"benchmarks/README.md": "benchmarks/measured.md"}
DESCRIBED = {"ganzoo.data": "data.md", "ganzoo.networks": "networks.md", "ganzoo.callbacks": "options.md"}
DESCRIBED |= {"ganzoo.loggers": "options.md", "ganzoo.augment": "networks.md", "ganzoo.ada": "networks.md"}
CODE = {".py": "python", ".yaml": "yaml", ".csv": "text"}
TOKEN = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]*`)"
    r"|<!-- include (?P<file>[^#\s]+)(?:#(?P<section>.+?))? -->"
    r"|<!-- classes (?P<modules>.+?) -->"
    r"|\]\((?P<target>(?!https?:|mailto:)[^)#\s]+)(?P<anchor>#[^)\s]*)?\)",
    re.DOTALL | re.MULTILINE,
)


def on_config(config: MkDocsConfig) -> None:
    """Every variant in the navigation, in the order of the papers: arXiv counts them."""
    [menu] = [entry["Variants"] for entry in config.nav or [] if "Variants" in entry]
    menu += [{f"{kind.__name__} ({paper(kind)['year']})": f"variants/{kind.__name__}.md"} for kind in by_paper()]


def on_files(files: Files, config: MkDocsConfig) -> None:
    site = Site()
    for page in files.documentation_pages():
        site.pages[page.src_uri] = site.written(page.content_string, page.src_uri, REPOSITORY / "docs" / page.src_uri)
    for kind in by_paper():
        site.pages[f"variants/{kind.__name__}.md"] = "\n".join(site.variant(kind))
    while linked := [path for path in site.linked if site.uri(path) not in site.pages]:
        site.pages |= {site.uri(path): site.file(path) for path in linked}
    for uri, content in site.pages.items():
        if old := files.get_file_from_path(uri):
            files.remove(old)
        given: dict[str, Any] = {"content": content} if isinstance(content, str) else {"abs_src_path": str(content)}
        files.append(File.generated(config, uri, **given))


def by_paper() -> list[Any]:
    return sorted(variants(), key=lambda kind: (paper(kind)["year"], paper(kind)["link"]))


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    if not found:
        raise ValueError(f"there is no heading {heading}")
    return found[1]


def listing(path: Path) -> str:
    return f"````{CODE[path.suffix]}\n{path.read_text().rstrip()}\n````\n"


def pictures(kind: type) -> list[Path]:
    """Those whose names begin with that of the variant's file, and with no other variant's that is longer."""
    stems = {name.__module__.rpartition(".")[2] for name in variants()}
    mine = kind.__module__.rpartition(".")[2]
    found = sorted((REPOSITORY / "benchmarks").rglob("*.png"))
    whose = {
        path: max((stem for stem in stems if f"{path.stem}_".startswith(f"{stem}_")), key=len, default="") for path in found
    }
    return [path for path in found if whose[path] == mine]


class Site:
    """Pages as they are made: Markdown, or the path of a file that is copied."""

    def __init__(self) -> None:
        self.pages: dict[str, str | Path] = {}
        self.linked: dict[Path, None] = {}  # files of the repository that have no page of their own
        exported = [getattr(ganzoo, name) for name in ganzoo.__all__]
        self.classes = [thing for thing in exported if isinstance(thing, type)]
        self.described = {kind.__name__: f"variants/{kind.__name__}.md" for kind in variants()}
        self.papers = {Path(sys.modules[kind.__module__].__file__ or ""): kind.__name__ for kind in variants()}
        for kind in self.classes:
            page = next((page for module, page in DESCRIBED.items() if f"{kind.__module__}.".startswith(f"{module}.")), None)
            if page:
                self.described[kind.__name__] = f"{page}#{kind.__name__.lower()}"

    def uri(self, path: Path) -> str:
        """Where the site has a file or folder of the repository."""
        name = path.relative_to(REPOSITORY).as_posix()
        if path in self.papers:
            return self.described[self.papers[path]]
        if path.is_relative_to(REPOSITORY / "docs"):
            return path.relative_to(REPOSITORY / "docs").as_posix()
        copied = path.is_file() and path.suffix not in CODE
        return PAGES.get(name) or (f"files/{name}" if copied else f"files/{name}.md")

    def link(self, path: Path, page: str) -> str:
        """The link from a page to a file of the repository."""
        if not path.exists():
            raise ValueError(f"{page} links to {path.relative_to(REPOSITORY)}, which does not exist")
        uri = self.uri(path)
        if uri.startswith("files/"):
            self.linked[path] = None
        return os.path.relpath(uri, os.path.dirname(page))

    def name(self, page: str) -> Any:
        """The link from a page to what describes an exported name."""
        return lambda name: os.path.relpath(to, os.path.dirname(page)) if (to := self.described.get(name)) else None

    def written(self, text: str, page: str, source: Path) -> str:
        """Markdown of a file of the repository as it stands on a page."""

        def token(match: re.Match[str]) -> str:
            if match["file"]:
                path = REPOSITORY / match["file"]
                included = path.read_text()
                return self.written(section(included, match["section"]) if match["section"] else included, page, path)
            if match["modules"]:
                return "\n".join(self.all_of(match["modules"].split(), page))
            if match["target"]:
                path = Path(os.path.normpath(source.parent / match["target"]))
                return f"]({self.link(path, page)}{match['anchor'] or ''})"
            return match[0]

        text = TOKEN.sub(token, text)
        names = self.name(page)
        return re.sub(
            r"^\| `(\w+)` \|", lambda row: f"| [`{row[1]}`]({to}) |" if (to := names(row[1])) else row[0], text, flags=re.M
        )

    def file(self, path: Path) -> str | Path:
        """A page for a file or a folder; of what is no text, the file itself."""
        page, name = self.uri(path), path.relative_to(REPOSITORY).as_posix()
        if path.is_dir():
            return f"# {name}\n\n" + "\n".join(self.folder(path, page))
        return f"# {name}\n\n{listing(path)}" if path.suffix in CODE else path

    def folder(self, path: Path, page: str) -> Iterator[str]:
        for inside in sorted(path.iterdir(), key=lambda inside: (inside.suffix != ".md", inside.name)):
            if inside.suffix == ".md":
                yield self.written(inside.read_text(), page, inside)
            elif inside.suffix == ".png":
                yield f"![{inside.stem}]({self.link(inside, page)})\n\n`{inside.name}`\n"
            else:
                yield f"- [{inside.name}]({self.link(inside, page)})"

    def all_of(self, modules: list[str], page: str) -> Iterator[str]:
        """The classes of some modules; what others are built on comes last."""
        found = [kind for kind in self.classes if any(f"{kind.__module__}.".startswith(f"{module}.") for module in modules)]
        for kind in sorted(found, key=lambda kind: ((kind.__doc__ or "").startswith(("Base ", "Parent ")), kind.__name__)):
            own, *inherited = arguments(kind) or [(kind, [])]
            yield f"## {kind.__name__}\n\n{description(kind, self.name(page))}"
            for terms, what in own[1]:
                yield definition(terms, what, self.name(page))
            if others := [markdown(f"`{base.__name__}`", self.name(page)) for base, _ in inherited]:
                yield f"Besides, the options of {', '.join(others)}.\n"
            if refused := raises(kind, self.name(page)):
                yield f'??? failure "Refused"\n\n{indent(refused, "    ")}'

    def variant(self, kind: Any) -> Iterator[str]:
        name, about, page = kind.__name__, paper(kind), self.described[kind.__name__]
        source = next(path for path, whose in self.papers.items() if whose == name)
        yield f"# {name}\n\n*[{about['title']}]({about['link']})*: {about['authors']}, {about['year']}\n"
        yield description(kind, self.name(page))
        if shown := " ".join(f"![{path.stem}]({self.link(path, page)})" for path in pictures(kind)):
            yield f"{shown}\n{{: .samples }}\n"
        yield f"## Train it\n\n```bash\n{self.command(kind)}\n```\n"
        for config in configs(kind):
            yield f'??? example "{config}.yaml"\n\n{indent(listing(CONFIGS / f"{config}.yaml"), "    ")}'
        counts = ", ".join(f"{player} {count:,}" for player, count in weights(kind).items())
        yield f"Weights, of samples of {' x '.join(map(str, kind.usual_shape))}: {counts}.\n"
        if results := list(self.results(name, page)):
            yield "\n".join(["## Benchmarks\n", *results])
        yield "## Options\n"
        for base, options in arguments(kind):
            shown = "\n".join(definition(terms, what, self.name(page)) for terms, what in options)
            yield shown if base is kind else f'??? note "Those of {base.__name__}"\n\n{indent(shown, "    ")}'
        if refused := raises(kind, self.name(page)):
            yield f'??? failure "Refused"\n\n{indent(refused, "    ")}'
        yield f"## The code\n\n`{source.relative_to(REPOSITORY).as_posix()}`, all of it:\n\n{listing(source)}"

    def command(self, kind: Any) -> str:
        """What trains the variant: the commands in the headers of its configs."""
        headers = [(CONFIGS / f"{config}.yaml").read_text() for config in configs(kind)]
        commands = dict.fromkeys(
            command for header in headers for command in re.findall(r"^#\s+(ganzoo fit .*)$", header, re.M)
        )
        return "\n".join(commands) or f"ganzoo fit --model {kind.__name__} --data Digits"

    def results(self, name: str, page: str) -> Iterator[str]:
        """The variant's rows of all tables, each under what made the table."""
        for folder in sorted(path.parent for path in leaderboard.RESULTS.glob("*/about.json")):
            about, blank, *table = leaderboard.leaderboard(folder).splitlines()
            rows = [row for row in table[2:] if row.split("|")[2].partition("+")[0].strip() == name]
            if rows:
                yield self.written("\n".join([about, blank, *table[:2], *rows, ""]), page, REPOSITORY / "README.md")
