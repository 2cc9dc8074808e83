"""Pages in a real browser: no request, no complaint, keys and sorting work, text stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import browser as chromium
import pytest
from browser import Browser, browser
from fabricate import als_run
from test_analysis_pages import HOSTILE, MAKERS, hostile_run

from analysis import render_index, render_run

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> Path:
    """Pages of runs of every kind, and their index."""
    folder = tmp_path_factory.mktemp("pages")
    runs = [make(folder / "runs") for make in MAKERS]
    for run in runs:
        render_run(run, folder / "reports")
    render_index(runs, folder / "reports")
    return folder / "reports"


@pytest.fixture(scope="module")
def tab(tmp_path_factory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def pages(reports: Path) -> list[Path]:
    found = sorted(reports.rglob("index.html"))
    assert len(found) > len(MAKERS)
    return found


def test_no_page_asks_the_network_for_anything_or_complains(reports, tab):
    for page in pages(reports):
        tab.open(page)
        assert tab.complaints == []
        assert [url for url in tab.requests if not url.startswith(("file:", "data:"))] == []
        assert tab.run("document.scripts.length") == 1


def test_every_link_leads_somewhere(reports, tab):
    for page in pages(reports):
        tab.open(page)
        for link in tab.run("[...document.links].map((link) => link.href)"):
            parts = urlsplit(link)
            target = Path(unquote(parts.path))
            assert parts.scheme == "file", link
            assert target.exists(), f"{page}: {link}"
            if parts.fragment:
                assert f'id="{parts.fragment}"' in target.read_text()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_no_page_is_wider_than_the_screen_in_either_theme(reports, tab, width, dark):
    for page in pages(reports):
        tab.open(page, width=width, dark=dark)
        wide = tab.run("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{page} is {wide} px too wide at {width}"
        paper = tab.run("getComputedStyle(document.body).backgroundColor")
        shade = [int(part) for part in re.findall(r"\d+", paper)[:3]]
        assert (max(shade) < 64) == dark


def test_a_table_is_sorted_by_the_keyboard_alone(reports, tab):
    tab.open(reports / "als-ml1m" / "index.html")
    tab.run('document.querySelector("table.sortable button").focus()')
    column = (
        '[...document.querySelector("table.sortable").tBodies[0].rows]'
        ".map((row) => Number(row.cells[0].textContent))"
    )
    before = tab.run(column)
    tab.press("Enter")
    assert tab.run(column) == sorted(before) != before
    head = 'document.querySelector("table.sortable th").getAttribute("aria-sort")'
    assert tab.run(head) == "ascending"
    tab.press("Enter")
    assert tab.run(column) == sorted(before, reverse=True)
    assert tab.run(head) == "descending"


def test_the_first_tab_leads_past_the_navigation(reports, tab):
    tab.open(reports / "als-ml1m" / "index.html")
    tab.press("Tab")
    assert tab.run("document.activeElement.textContent") == "Skip to content"
    tab.press("Enter")
    assert tab.run("location.hash") == "#main"


def test_marks_say_which_trial_they_are(reports, tab):
    tab.open(reports / "als-ml1m" / "index.html")
    words = tab.run('[...document.querySelectorAll("svg use title")].map((t) => t.textContent)')
    assert any(re.fullmatch(r"trial 5: RMSE [\d.]+ at epoch \d+, error", text) for text in words)


def test_hostile_texts_stay_text_everywhere(reports, tab):
    for page in (reports / "bpr-demo" / "index.html", reports / "index.html"):
        tab.open(page)
        assert tab.complaints == []
        assert HOSTILE in tab.run("document.body.textContent")
        assert tab.run("document.scripts.length") == 1
    tab.open(reports / "bpr-demo" / "index.html")
    assert HOSTILE in tab.run("document.title")


def test_a_script_of_anyone_else_does_not_run(tmp_path, tab):
    page = render_run(hostile_run(tmp_path / "runs"), tmp_path / "reports")
    page.write_text(page.read_text().replace("</main>", "<script>window.bad = 1</script></main>"))
    tab.open(page)
    assert tab.run("window.bad") is None
    assert any("Content Security Policy" in text for text in tab.complaints)


def test_pages_print(reports, tab):
    tab.open(reports / "als-ml1m" / "index.html")
    assert tab.pdf().startswith(b"%PDF")


def test_a_page_reads_without_scripts(tmp_path, tab):
    page = render_run(als_run(tmp_path / "runs", trials=12), tmp_path / "reports")
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(page)
        assert "Best configuration" in tab.run("document.body.textContent")
        assert tab.run('document.querySelectorAll("table.sortable button").length') == 0
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
