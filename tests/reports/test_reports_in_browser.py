"""The report in a real browser: nothing asked of any host, nothing clipped, the right numbers.

It needs a Chromium (Debian: ``apt-get install chromium``). Where the environment variable CI is set
a missing one is an error; elsewhere these tests are skipped.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import hiermodels as hm

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "/usr/lib/chromium/chromium")
PHONE, DESKTOP = (390, 844), (1280, 800)
PATIENCE = 180_000  # milliseconds: a busy machine is no failure


def chromium_there() -> str:
    """The path of a Chromium; without one a failure in CI, and elsewhere a skip."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("there is no Chromium on the PATH; apt-get install chromium")
    return found


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail), ("", pytest.skip)])
def test_without_a_browser_it_fails_in_ci_and_is_skipped_elsewhere(ci, outcome, monkeypatch):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(outcome.Exception, match="no Chromium on the PATH"):
        chromium_there()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = chromium_there()
    if not os.environ.get("CI"):
        pytest.importorskip("playwright", reason="playwright is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        # As root, which CI runs as, Chromium has no sandbox; what it opens is our own page.
        chromium = play.chromium.launch(
            executable_path=found, args=["--no-sandbox"], timeout=PATIENCE
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pools() -> hm.PoolingComparison:
    frame, _ = hm.datasets.simulate_varying_slopes(groups=30, size=12, seed=1)
    model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"])
    return hm.compare_pooling(model, seed=1, draws=250)


@pytest.fixture(scope="module")
def file(pools, tmp_path_factory) -> Path:
    return hm.report(pools, tmp_path_factory.mktemp("browser") / "report.html")


@dataclass
class Opened:
    """A page in the browser, what it asked for, and what it complained of."""

    page: Any
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


@pytest.fixture
def opened(browser, file) -> Iterator[Any]:
    contexts = []

    def at(size: tuple[int, int], file: Path = file) -> Opened:
        width, height = size
        context = browser.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.on("request", lambda request: found.asked.append(request.url))
        found.page.on("console", lambda line: found.said.append(line.text))
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.goto(file.as_uri())
        return found

    yield at
    for context in contexts:
        context.close()


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_page_is_whole_and_asks_nothing_of_any_host(size, opened, file):
    found = opened(size)
    assert [url for url in found.asked if not url.startswith("data:")] == [file.as_uri()]
    assert found.said == []
    widths = found.page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth)")
    assert len(widths) >= 10
    assert all(width > 0 for width in widths)


@pytest.mark.parametrize("size", [PHONE, DESKTOP, (360, 640)], ids=["phone", "desktop", "small"])
def test_the_page_does_not_scroll_sideways_and_nothing_is_cut(size, opened):
    page = opened(size).page
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    cut = page.evaluate(
        """[...document.querySelectorAll("body *")].filter(e => {
            const box = e.getBoundingClientRect();
            return box.width && box.right > innerWidth + 1 && !e.closest(".scroll, pre, .unseen");
        }).map(e => e.tagName)"""
    )
    assert cut == []


def test_wide_tables_scroll_in_their_own_box_with_their_labels_in_view(opened):
    page = opened(PHONE).page
    found = page.evaluate(
        """(() => {
            const box = document.getElementById("table-groups-0").closest(".scroll");
            const label = box.querySelector("tbody th");
            box.scrollLeft = 150;
            return [box.scrollWidth > box.clientWidth, box.scrollLeft,
                    label.getBoundingClientRect().left - box.getBoundingClientRect().left];
        })()"""
    )
    assert found == [True, 150, 0]


def test_pictures_can_be_enlarged_on_a_phone_only(opened):
    width = "document.images[0].getBoundingClientRect().width"
    page = opened(PHONE).page
    before = page.evaluate(width)
    assert before <= PHONE[0]
    page.locator("figure input").first.check()
    assert page.evaluate(width) > 2 * before
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert not opened(DESKTOP).page.locator("figure input").first.is_visible()


def test_text_stands_out_from_what_is_behind_it(opened):
    """A ratio of 4.5 or more (WCAG 2.2, success criterion 1.4.3)."""
    ratios = opened(DESKTOP).page.evaluate(
        """(() => {
            const numbers = c => c.match(/[\\d.]+/g).map(Number);
            const light = c => numbers(c).slice(0, 3).map(v => v / 255)
                .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
                .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
            const behind = e => {
                for (; e; e = e.parentElement) {
                    const c = getComputedStyle(e).backgroundColor;
                    if ((numbers(c)[3] ?? 1) > 0) return c;
                }
                return "rgb(255, 255, 255)";
            };
            const text = "p, li, a, th, td, dd, dt, code, figcaption, h1, h2, h3";
            return [...document.querySelectorAll(text)]
                .map(e => [light(getComputedStyle(e).color), light(behind(e))])
                .map(([a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
        })()"""
    )
    assert len(ratios) > 100
    assert min(ratios) >= 4.5


def test_what_is_shown_are_the_numbers_of_the_comparison(opened, pools):
    page = opened(DESKTOP).page
    for unit in ("observation", "group"):
        rows = page.locator(f"table:has(#table-scores-{unit}) tbody tr")
        part = pools.elpd[pools.elpd["unit"] == unit].dropna(subset=["elpd"])
        assert rows.count() == len(part)
        for k, r in enumerate(part.to_dict("records")):
            cells = rows.nth(k).locator("td").all_inner_texts()
            assert cells[:2] == [f"{r['elpd']:.2f}", f"{r['se']:.2f}"]
    e = pools.estimates[pools.estimates["coefficient"] == "x1"]
    shown = page.locator("table:has(#table-groups-1) tbody tr").all_inner_texts()
    assert len(shown) == len(e) == 30
    for line, r in zip(shown, e.to_dict("records"), strict=True):
        assert line.split("\t")[0] == str(r["group"])
        assert f"{r['partial_mean']:.2f}" in line

    summary = hm.summary(pools.fits["partial"], ["mu", "tau", "sigma"])
    shown = page.locator("table:has(#table-hyperparameters) tbody tr").all_inner_texts()
    cells = {line.split("\t")[0]: line.split("\t")[1:] for line in shown}
    for label, r in summary.iterrows():
        mean, sd, interval = cells[label][:3]
        step = 10.0 ** -len(mean.partition(".")[2])
        numbers = [float(mean), float(sd), *map(float, interval.split(" to "))]
        wanted = [r["mean"], r["sd"], r["q5"], r["q95"]]
        assert numbers == pytest.approx(wanted, abs=0.501 * step)
        assert step <= r["sd"]


def test_labels_are_text_and_nothing_in_them_runs(opened, tmp_path, monkeypatch):
    from hiermodels.reports import pictures

    chosen = pictures._chosen
    monkeypatch.setattr(pictures, "_chosen", lambda s: itertools.islice(chosen(s), 1))
    labels = [
        "<script>document.title = 'run'</script>",
        "<img src=x onerror=\"document.title = 'run'\">",
        "</td></table><h1>out</h1>",
        "a & b &amp; c",
    ]
    frame = pd.DataFrame({"who": labels, "y": [28.0, 8, -3, 7], "se": [15.0, 10, 16, 11]})
    model = hm.EightSchools(frame, effect="y", se="se", group="who")
    file = hm.report(hm.compare_pooling(model, seed=1), tmp_path / "labels.html")
    found = opened(PHONE, file)
    assert [url for url in found.asked if not url.startswith("data:")] == [file.as_uri()]
    assert found.said == []
    assert found.page.title() == "Pooling of y by who: 4 groups (EightSchools)"
    shown = found.page.locator("table:has(#table-groups-0) tbody th").all_inner_texts()
    assert shown == labels
    assert found.page.locator("script, h1 ~ h1").count() == 0
    assert found.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_printed_tables_are_whole(opened):
    page = opened(DESKTOP).page
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 690, "height": 1000})  # the width of A4 between its margins
    found = page.evaluate(
        """[...document.querySelectorAll(".scroll")].filter(e => {
            const inner = e.firstElementChild.getBoundingClientRect();
            return inner.width > e.clientWidth + 1 || inner.height > e.clientHeight + 1;
        }).map(e => e.textContent.slice(0, 40))"""
    )
    assert found == []
    assert not page.locator("nav").is_visible()
    assert not page.locator(".below").first.is_visible()
    kept = page.evaluate(
        """[...document.querySelectorAll(".scroll, figure, thead")].map(e => [
            e.matches(".long, thead"), getComputedStyle(e).breakInside])"""
    )
    assert {(long, how) for long, how in kept if not long} == {(False, "avoid")}
    # The letters of no picture become smaller than two thirds of what they are on a screen.
    shares = page.evaluate(
        "[...document.images].map(i => i.getBoundingClientRect().width / i.getAttribute('width'))"
    )
    assert min(shares) > 2 / 3


def test_a_long_table_says_that_it_scrolls(opened):
    page = opened(DESKTOP).page
    assert page.locator(".below").all_inner_texts() == ["Scroll in the table for all 30 rows."] * 2
    assert page.locator(".scroll.long + .below").count() == 2
