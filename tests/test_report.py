"""The report in a real browser, opened from a disk without a network."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_tables import KD, PRECISION, result, seeds

from ganzoo.benchmark.curves import average
from ganzoo.benchmark.report import flat, report, stages
from ganzoo.benchmark.tables import tables

EVIL = "</script><img src=x onerror=alert(1)>"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Playwright's own Chromium, or the system's, or the one that Playwright now downloads."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with sync_api.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        system = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        path = own if Path(own).is_file() else system
        if path is None:
            try:
                install = [sys.executable, "-m", "playwright", "install", "chromium"]
                subprocess.run(install, check=True, capture_output=True, timeout=280)
                path = own
            except (subprocess.SubprocessError, OSError) as error:
                pytest.skip(f"no browser: `playwright install chromium`, or install your system's chromium ({error})")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def picture(folder: Path, step: int, level: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.png"
    Image.fromarray(np.full((528, 528, 3), level, np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def page_file(tmp_path_factory) -> Path:
    """Three variants on two data sets; one with a hostile name, one that diverged."""
    root = tmp_path_factory.mktemp("report")
    results = []
    for data, scale in (("MNIST", 1.0), ("CIFAR10", 3.0)):
        for variant, end in (("GAN, minimax", 2.0), ("WGAN_long", 1.0), (EVIL, 10.0)):
            for seed in range(2):
                folder = root / f"{len(results)}"
                results.append(
                    result(
                        variant,
                        seed,
                        *(9.0 * scale, 5.0 * scale, end * scale + 0.01 * seed),
                        data=data,
                        others={PRECISION: 0.5},
                        config={"model": {"class_path": variant, "init_args": {"lr": end / 1000}}, "seed_everything": seed},
                        pictures=[picture(folder, 100 * (k + 1), 80 * k) for k in range(3)],
                        state="diverged" if variant == "GAN, minimax" and seed == 1 else "finished",
                    )
                )
    path = root / "report.html"
    path.write_text(report(f"A title {EVIL}", tables(results, KD), {"command": "ganzoo benchmark", "note": EVIL}))
    return path


@pytest.fixture
def page(browser, page_file, request) -> Iterator:
    """The page as it opens; at the end, nothing was asked of a network and no script complained."""
    context = browser.new_context(offline=True, **getattr(request, "param", {"viewport": {"width": 1280, "height": 900}}))
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda of: None if of.url.startswith(("file:", "data:")) else complaints.append(of.url))
    page.goto(page_file.as_uri())
    yield page
    context.close()
    assert complaints == []


def variants(page, table: str = "#s0 table") -> list[str]:
    return page.locator(table).first.locator("tbody th.variant").all_inner_texts()


def test_it_is_one_small_file(page_file):
    text = page_file.read_text()
    assert len(text) < 2_000_000
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert EVIL not in text


def test_names_are_shown_and_not_obeyed(page):
    assert EVIL in variants(page)
    assert page.locator("h1").inner_text() == f"A title {EVIL}"
    assert page.locator("img[src=x]").count() == 0


def test_ids_are_unique(page):
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(of => of.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate("[...document.querySelectorAll('use')].every(of => document.querySelector(of.getAttribute('href')))")


def test_best_first_and_a_header_sorts(page):
    assert variants(page) == ["WGAN_long", EVIL, "GAN, minimax"]  # a seed of the last diverged
    head = page.locator("#s0 table").first.locator("thead th", has_text="kd")
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").click()
    assert variants(page) == ["WGAN_long", "GAN, minimax", EVIL]
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").press("Enter")
    assert variants(page) == [EVIL, "GAN, minimax", "WGAN_long"]
    assert head.get_attribute("aria-sort") == "descending"
    assert page.locator("#s0 table").first.locator("[aria-sort=ascending]").count() == 0


def test_the_legend_hides_a_line(page):
    section = page.locator("#s0")
    mine = section.locator(".plots:not([hidden]) .curve[data-variant='0']")
    others = section.locator(".plots:not([hidden]) .curve[data-variant='1']")
    name = variants(page)[0]
    assert name == mine.first.locator("title").text_content()
    assert mine.first.is_visible() and others.first.is_visible()
    section.locator(".legend label", has_text=name).click()
    assert not any(line.is_visible() for line in mine.all())
    assert others.first.is_visible()
    assert page.locator("#s1 .curve[data-variant='0']").first.is_visible()  # another table's curves are its own
    section.locator(".legend label", has_text=name).click()
    assert mine.first.is_visible()
    page.mouse.move(0, 0)
    section.locator(".legend label", has_text=name).hover()
    assert (
        section.locator(".curve.dim[data-variant='1']").count() and not section.locator(".curve.dim[data-variant='0']").count()
    )
    section.locator("button.all").click()
    assert section.locator(".curve.off").count() == section.locator(".curve").count()


def test_another_score_has_its_curves(page):
    section = page.locator("#s0")
    assert section.locator(".plots:visible").get_attribute("data-metric") == "kd"
    section.locator("select.metric").select_option("precision")
    assert section.locator(".plots:visible").get_attribute("data-metric") == "precision"


def test_pictures_of_a_seed_and_a_stage(page):
    section = page.locator("#s0")
    shown = section.locator("figure img:visible")
    assert [image.get_attribute("data-caption") for image in shown.all()] == ["round 300"] * 3
    assert shown.first.evaluate("image => image.naturalWidth") == 400
    section.locator("input.stage").evaluate("of => { of.value = 1; of.dispatchEvent(new Event('input')) }")
    assert {image.get_attribute("data-caption") for image in shown.all()} == {"round 100"}
    section.locator("select.seed").select_option("1")
    assert {image.get_attribute("data-seed") for image in shown.all()} == {"1"}
    assert section.locator("input.stage").is_disabled()


def test_two_configurations_differ_where_they_do(page):
    rows = page.locator(".difference tbody tr")
    names = page.locator("#one option").all_inner_texts()
    page.locator("#one").select_option(label=names[0])
    page.locator("#other").select_option(label=names[1])
    assert rows.all_inner_texts() == ["seed_everything\t0\t1"]
    page.locator("#other").select_option(label=next(name for name in names if name.startswith("GAN")))
    assert "model.init_args.lr\t0.001\t0.002" in rows.all_inner_texts()
    page.locator("#other").select_option(label=names[0])
    assert page.locator("#differ").inner_text() == "0 of 3 settings differ."
    assert not page.locator(".difference").is_visible()


def test_a_run_is_behind_a_click(page):
    runs = page.locator("#s0 .behind")
    assert not runs.locator("pre").first.is_visible()
    runs.locator("summary").first.click()
    runs.locator("details details summary").first.click()
    assert "class_path: WGAN_long" in runs.locator("pre").first.inner_text()
    assert "images_seen" in runs.locator(".stamps").first.inner_text()


@pytest.mark.parametrize("page", [{"viewport": PHONE, "has_touch": True, "is_mobile": True}], indirect=True)
def test_a_phone_scrolls_only_down(page):
    for summary in page.locator("summary").all():
        summary.evaluate("of => { of.parentElement.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("innerWidth") == PHONE["width"]  # not zoomed out to fit something wider
    scroll = page.locator("#s0 .scroll").first
    assert scroll.evaluate("of => of.scrollWidth > of.clientWidth")  # the table, in its own frame


@pytest.mark.parametrize("page", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True)
def test_ink_stands_out_from_paper(page):
    def light(what: str, of: str) -> float:
        rgb = page.locator(what).first.evaluate(f"element => getComputedStyle(element)['{of}']")
        return sum(map(int, re.findall(r"\d+", rgb)[:3])) / 765

    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    paper = light("body", "backgroundColor")
    assert (paper < 0.2) == dark and (paper > 0.8) != dark
    for what, of in (("body", "color"), (".plots svg text", "fill"), ("th.variant", "color"), ("select", "color")):
        assert abs(light(what, of) - paper) > 0.4, what


def test_hidden_things_of_a_reload_are_hidden(page):
    """Browsers keep checkboxes over a reload: what they say holds."""
    page.locator("#s0 .legend label").first.click()
    page.reload()
    hidden = page.locator("#s0 .legend input:not(:checked)").count()
    assert (page.locator("#s0 .curve.off").count() > 0) == (hidden > 0)


def test_a_lone_run_with_nothing_to_show(browser, tmp_path):
    (tmp_path / "report.html").write_text(report("T", tables([result("A", 0, 1.0)], KD), {}))
    page = browser.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator("#differ").inner_text() == "0 of 0 settings differ."
    page.close()
    assert complaints == []


# --- without a browser ---


def test_tables_of_one_data_set_have_names_of_their_own():
    made = report("T", tables([*seeds("A", 1.0), *seeds("B", 1.0, n_fake=5000)], KD), {})
    assert re.findall("<h2>(.*?)</h2>", made)[:2] == ["MNIST (1)", "MNIST (2)"]


def test_one_table_of_runs_without_pictures_or_scores():
    made = report("T", tables([*seeds("A", 1.0), result("B", 0, state="diverged")], KD), {})
    assert "<figure>" not in made and "diverged" in made


def test_the_mean_ends_with_the_first_seed_that_does():
    at, value = average([(np.array([1.0, 2, 3]), np.array([1.0, 2, 3])), (np.array([1.5, 2.5]), np.array([4.0, 4.0]))])
    assert at.tolist() == [1.5, 2.0, 2.5]
    assert value.tolist() == [2.75, 3.0, 3.25]
    assert average([(np.array([1.0]), np.array([1.0])), (np.array([2.0]), np.array([1.0]))]) is None


def test_flattened_configurations():
    config = {"a": {"b": 1, "c": {}}, "l": [1, 2], "k": [{"class_path": "x.One", "n": 1}, {"class_path": "Two"}, {"z": None}]}
    assert flat(config) == {
        "a.b": "1",
        "a.c": "{}",
        "l": "[1, 2]",
        "k.One.class_path": '"x.One"',
        "k.One.n": "1",
        "k.Two.class_path": '"Two"',
        "k.2.z": "null",
    }


@pytest.mark.parametrize(("n", "expected"), [(1, [0]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (20, [4, 9, 14, 19])])
def test_stages_end_with_the_last_picture(n, expected):
    paths = [Path(f"{i}") for i in range(n)]
    assert stages(result("A", 0, pictures=paths)) == [paths[i] for i in expected]
