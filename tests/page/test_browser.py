"""A page in a real browser; needs `pip install playwright` and Chromium on the path."""

from __future__ import annotations

import shutil

import pytest
from page.conftest import lines, result, saved

from sslkit.page import report

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1200, "height": 900}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(make, seen, tmp_path):
    """The path of a page with all there is, of two seeds and another run."""
    seen()
    for seed in (0, 1):
        reports = lines([9.0 - n + seed for n in range(9)])
        saved(make(f"S/a-s{seed}", reports, seed=seed, measured=result()))
    saved(make("S/b", topk=5, measured=result(0.7)))
    made = report([str(tmp_path / "S")], say=lambda line: None)
    return made.save(tmp_path / "report.html")


def opened(browser, path, **options):
    """Opens a page; records console messages and requests."""
    context = browser.new_context(viewport=DESK, **options)
    tab = context.new_page()
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"file://{path}")
    return tab, said, asked


def test_there_are_no_errors_no_requests_and_all_pictures_are_drawn(browser, page):
    tab, said, asked = opened(browser, page)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [f"file://{page}"]
    drawn = "[...document.images].map(one => one.complete && one.naturalWidth > 0)"
    shown = tab.evaluate(drawn)
    assert shown and all(shown)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_is_wider_than_the_window(browser, page, size):
    tab, _, _ = opened(browser, page)
    tab.set_viewport_size(size)
    assert tab.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_pointing_at_a_curve_or_an_image_shows_what_it_is(browser, page):
    tab, said, _ = opened(browser, page)
    tip = tab.locator(".tip")
    assert tip.is_hidden()
    # Between reports 5 and 6 of the two seeds and of the other run.
    tab.locator(".curve svg").first.hover()
    assert "update 5" in tip.inner_text()
    assert "a (2 seeds): 5.5 (5 to 6)" in tip.inner_text()
    point = tab.locator(".map circle").first
    point.hover(force=True)
    assert "example" in tip.inner_text()
    assert tip.locator(".face").count() == 1
    assert said == []


def test_without_scripts_everything_but_pointing_works(browser, page):
    with_scripts, _, _ = opened(browser, page)
    without, _, _ = opened(browser, page, java_script_enabled=False)
    words = [tab.locator("main").inner_text() for tab in (with_scripts, without)]
    assert words[0] == words[1]
    # A browser shows this of itself where one points at an image.
    assert without.locator(".map circle title").count() > 0


def test_light_and_dark(browser, page):
    found = []
    for scheme in ("light", "dark"):
        tab, _, _ = opened(browser, page, color_scheme=scheme)
        style = "getComputedStyle(one)"
        colours = f"one => [{style}.backgroundColor, {style}.color]"
        found.append(tab.locator("body").evaluate(colours))
    (paper, ink), (night, chalk) = found
    assert paper != night and ink != chalk
