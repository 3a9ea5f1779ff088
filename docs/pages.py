"""A hook of MkDocs that makes pages when the site is built: one for each variant, and what other pages include.

A page in docs/ may say, besides Markdown,

    <!-- include README.md#Scores -->   a file of the repository, or what it has under that heading
    <!-- classes -->                    the classes that belong to the page (`PAGES` in classes.py)

Links are those of the repository, relative to the file that they stand in. Here they become links to the pages of the site;
a file without one gets one (`files/...`), so that the site needs nothing else.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from classes import CODE, REPOSITORY, by_paper, described, link, listing, paper, source, variant
from docstrings import markdown
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "adding.md", "CHANGELOG.md": "changelog.md"}
PAGES |= {"benchmarks/README.md": "benchmarks/measured.md"}
TOKEN = re.compile(
    r"(?P<code>^ *```.*?^ *```|`[^`\n]*`)"
    r"|<!-- include (?P<file>[^#\s]+)(?:#(?P<section>.+?))? -->"
    r"|(?P<classes><!-- classes -->)"
    r"|\]\((?P<target>(?!https?:|mailto:)[^)#\s]+)(?P<anchor>#[^)\s]*)?\)",
    re.DOTALL | re.MULTILINE,
)
FIRST_IN_ROW = re.compile(r"(?<=^\| )`\w+`(?= \|)", re.MULTILINE)


def on_config(config: MkDocsConfig) -> None:
    """Every variant in the navigation."""
    [menu] = [entry["Variants"] for entry in config.nav or [] if "Variants" in entry]
    menu += [{f"{kind.__name__} ({paper(kind)['year']})": f"variants/{kind.__name__}.md"} for kind in by_paper()]


def on_files(files: Files, config: MkDocsConfig) -> None:
    site = Site()
    for page in files.documentation_pages():
        site.pages[page.src_uri] = site.written(page.content_string, page.src_uri, f"docs/{page.src_uri}")
    for kind in by_paper():
        page = site.uri(source(kind))
        site.pages[page] = site.written("\n".join(variant(kind)), page, source(kind))
    while linked := [name for name in site.linked if site.uri(name) not in site.pages]:
        site.pages |= {site.uri(name): site.file(name) for name in linked}
    for uri, content in site.pages.items():
        if old := files.get_file_from_path(uri):
            files.remove(old)
        given: dict[str, Any] = {"content": content} if isinstance(content, str) else {"abs_src_path": str(content)}
        files.append(File.generated(config, uri, **given))


def section(text: str, heading: str | None) -> str:
    """What stands under a heading of the second level; without one, all of it."""
    if not heading:
        return text
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    if not found:
        raise ValueError(f"there is no heading {heading}")
    return found[1]


class Site:
    """Pages as they are made: Markdown, or the path of a file that is copied. Files have their names in the repository."""

    def __init__(self) -> None:
        self.pages: dict[str, str | Path] = {}
        self.linked: dict[str, None] = {}  # files and folders that have no page of their own
        self.known = PAGES | {source(kind): f"variants/{kind.__name__}.md" for kind in by_paper()}

    def uri(self, name: str) -> str:
        """Where the site has a file or folder of the repository."""
        copied = (REPOSITORY / name).is_file() and Path(name).suffix not in CODE
        within_docs = name.removeprefix("docs/") if name.startswith("docs/") else None
        return self.known.get(name) or within_docs or (f"files/{name}" if copied else f"files/{name}.md")

    def link(self, name: str, page: str) -> str:
        """The link from a page to a file or folder of the repository."""
        if not (REPOSITORY / name).exists():
            raise ValueError(f"{page} links to {name}, which does not exist")
        if self.uri(name).startswith("files/"):
            self.linked[name] = None
        return os.path.relpath(self.uri(name), os.path.dirname(page))

    def written(self, text: str, page: str, name: str) -> str:
        """Markdown of a file of the repository as it stands on a page."""

        def token(match: re.Match[str]) -> str:
            if match["file"]:
                return self.written(section((REPOSITORY / match["file"]).read_text(), match["section"]), page, match["file"])
            if match["classes"]:
                return self.written("\n".join(described(page)), page, name)
            if match["target"]:
                target = os.path.normpath(os.path.join("/", os.path.dirname(name), match["target"]))
                return f"]({self.link(target[1:], page)}{match['anchor'] or ''})"
            return match[0]

        return TOKEN.sub(token, FIRST_IN_ROW.sub(lambda code: markdown(code[0], link), text))

    def file(self, name: str) -> str | Path:
        """A page for a file or a folder; of what is no text, the file itself."""
        path = REPOSITORY / name
        if path.is_dir():
            return self.written(f"# {name}\n\n" + "\n".join(folder(path)), self.uri(name), f"{name}/")
        return f"# {name}\n\n{listing(path)}" if path.suffix in CODE else path


def folder(path: Path) -> Iterator[str]:
    """What is in a folder: tables and pictures, and links to the rest."""
    for inside in sorted(path.iterdir(), key=lambda inside: (inside.suffix != ".md", inside.name)):
        if inside.suffix == ".md":
            yield inside.read_text()
        elif inside.suffix == ".png":
            yield f"![{inside.stem}]({inside.name})\n\n`{inside.name}`\n"
        else:
            yield f"- [{inside.name}]({inside.name})"
