"""The documentation: what it says of the tests, and the site that is built of it."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from conftest import REPOSITORY
from filelock import FileLock

import ganzoo
from ganzoo.duel import Duel
from ganzoo.listing import configs, paper, variants

pytestmark = pytest.mark.timeout(900)  # the first to need the site waits for it: a quarter of a minute on an idle core

FAULTS = (REPOSITORY / "docs" / "faults.md").read_text()
NAMED = sorted(set(re.findall(r"`(test_\w+)::(test_\w+)`", FAULTS)))


@pytest.mark.parametrize("file, test", NAMED)
def test_the_tests_of_faults_exist(file, test):
    [path] = (REPOSITORY / "tests").rglob(f"{file}.py")
    assert f"def {test}(" in path.read_text()


def test_every_fault_has_its_test():
    rows = [line for line in FAULTS.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert len(rows) >= 25
    assert all("`test_" in row.rsplit("|", 2)[1] for row in rows)


# --- the site ---

sys.path.insert(0, str(REPOSITORY / "docs"))


class Page(HTMLParser):
    """What a page links to and loads, the anchors that it has, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.links, self.loaded, self.anchors, self.text = path, [], [], set(), ""
        self.article = False
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.article |= tag == "article"
        self.anchors |= {given["id"]} if "id" in given else set()
        self.links += [given["href"]] if tag == "a" and "href" in given else []
        self.loaded += [given[name] for name in ("src", "href") if tag in ("img", "script", "link") and given.get(name)]

    def handle_endtag(self, tag):
        self.article &= tag != "article"

    def handle_data(self, data):
        self.text += data if self.article else ""


@pytest.fixture(scope="module")
def top(tmp_path_factory, worker_id) -> Path:
    """The site, built as `make docs` does, once for all of pytest's processes."""
    if not find_spec("material"):
        pytest.skip("no MkDocs: pip install '.[docs]'")
    mine = tmp_path_factory.getbasetemp()
    folder = (mine if worker_id == "master" else mine.parent) / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
            done = subprocess.run(command, cwd=REPOSITORY, env=quiet, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def site(top) -> dict[Path, Page]:
    """All pages; the benchmarks' reports have tests of their own."""
    reports = set((top / "files").rglob("report.html"))
    return {path: Page(path) for path in top.rglob("*.html") if path not in reports}


def test_every_variant_has_a_page(site, top):
    for variant in variants():
        page = site[top / "variants" / f"{variant.__name__}.html"]
        assert paper(variant)["title"] in page.text
        assert all(f"{config}.yaml" in page.text for config in configs(variant))
        assert f"class {variant.__name__}(" in page.text, "its code"
        assert any(link.endswith(f"variants/{variant.__name__}.html") for link in site[top / "design.html"].links), "navigation"


def test_a_variants_page_has_what_was_measured(site, top):
    page = site[top / "variants" / "WGANGP.html"]
    assert "ganzoo benchmark smoke" in page.text
    assert page.loaded.count("../files/benchmarks/pictures/wgan_gp_ring.png") == 1
    assert not any("wgan_gp" in source for source in site[top / "variants" / "WGAN.html"].loaded)


def test_every_option_and_data_module_is_described(site, top):
    names = {
        name for name in ganzoo.__all__ if getattr(ganzoo, name).__module__.startswith(("ganzoo.data.", "ganzoo.callbacks."))
    }
    assert {name.lower() for name in names} <= site[top / "data.html"].anchors | site[top / "options.html"].anchors
    assert "penalty: float = 10.0" in site[top / "variants" / "WGANGP.html"].text


def test_no_page_is_empty(site):
    for path, page in site.items():
        assert len(page.text.strip()) > 20 or path.name == "404.html", path


def test_all_links_of_the_site_lead_somewhere(site):
    for path, page in site.items():
        for link in (*page.links, *page.loaded):
            where = urlsplit(link)
            if where.scheme in ("http", "https", "data") or path.name == "404.html":  # whose links are of the server's root
                continue
            target = Path(os.path.normpath(path.parent / unquote(where.path))) if where.path else path
            assert target.is_file(), f"{path}: {link}"
            if where.fragment and target in site:
                assert unquote(where.fragment) in site[target].anchors | {"__skip"}, f"{path}: {link}"


def test_the_site_fetches_nothing_from_elsewhere(site):
    for path, page in site.items():
        assert not [source for source in page.loaded if source.startswith(("http:", "https:", "//"))], path


# --- docstrings as Markdown ---

DOCSTRING = """Makes x_i of z; see arXiv:1701.00160 and https://example.org/a_b.

    Args:
        width, height: of [N, *shape], less than 2
            or `Duel`.
        depth: of all.

    Differences from the paper: none
    to speak of.

    More text.

    Raises:
        ValueError: no width.
    """


def test_a_docstring_has_sections():
    docstrings = pytest.importorskip("docstrings")
    headers = ["", "Args", "Differences from the paper", "", "Raises"]
    found = docstrings.sections(DOCSTRING)
    assert [header for header, _ in found] == headers
    assert found[2][1] == "none\nto speak of."
    assert found[3][1] == "More text."
    assert docstrings.items(found[1][1]) == [
        (["width", "height"], "of [N, *shape], less than 2\n    or `Duel`."),
        (["depth"], "of all."),
    ]


def test_plain_text_as_markdown():
    markdown = pytest.importorskip("docstrings").markdown
    assert markdown("x_i, [N, *shape] < {1}") == "x\\_i, \\[N, \\*shape\\] &lt; &#123;1}"
    assert markdown("`a_b` of `Duel`", {"Duel": "duel.md"}.get) == "`a_b` of [`Duel`](duel.md)"
    assert (
        markdown("arXiv:1701.00160, https://a.org/a_b.")
        == "[arXiv:1701.00160](https://arxiv.org/abs/1701.00160), <https://a.org/a_b>."
    )


def test_every_argument_is_described():
    arguments = pytest.importorskip("docstrings").arguments
    exported = [getattr(ganzoo, name) for name in ganzoo.__all__]
    kinds = [kind for kind in exported if isinstance(kind, type)]
    described = [(of.__name__, terms, what) for kind in kinds for of, items in arguments(kind) for terms, what in items]
    assert len(described) > 500
    assert [f"{of}: {', '.join(terms)}" for of, terms, what in described if not what] == []


def test_arguments_stand_where_they_are_described():
    [(kind, own), (duel, inherited), *_] = pytest.importorskip("docstrings").arguments(ganzoo.WGANGP)
    assert (kind, duel) == (ganzoo.WGANGP, Duel)
    assert (["penalty: float = 10.0"], "lambda of eq. 3.") in own
    assert (["latent_dim: int = 128"], "size of the noise z ~ N(0, I).") in inherited, "its own default, as Duel describes it"
