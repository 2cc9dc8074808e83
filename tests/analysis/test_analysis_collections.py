"""Whole pages over several runs: links, bytes, hostile names, what is absent and what is stale."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner
from fabricate import als_run
from several import better_trial, compared, edit, make, profiled
from test_analysis_pages import (
    HOSTILE,
    SCRIPT,
    Page,
    hostile_run,
    just_opened,
    only_errors,
    two_objectives,
)

from analysis import render_comparison, render_index, render_run
from analysis.plots import distributions, races
from recsearch.cli.report import report
from recsearch.errors import UsageError
from recsearch.files import write_atomic
from recsearch.run import RunView
from recsearch.run_paths import RunPaths


def links(page: Page) -> list[str]:
    return [value for tag, name, value in page.attributes if tag == "a" and name == "href"]


def pages_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("index.html"))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def mixed(root: Path) -> list[Path]:
    """Every kind of run: of three data sets, both directions, all states, hostile and stored."""
    a, b = make(root, "a-x", [0.5, 0.4, 0.6]), make(root, "b-x", [0.45, 0.9], model="other:Model")
    compared([a, b], {"RMSE": [0.1, 0.2, 0.3]}, {"RMSE": [0.2, 0.4, 0.1]})
    profiled(a)
    runs = [
        a,
        better_trial(b, 0.41),
        make(root, "c", [0.3, 0.2], metric="NDCG", direction="max", exit_code=130),
        make(root, "d", [0.3], metric="NDCG", direction="max", exit_code=None),
        make(root, "e", [], exit_code=1),
        make(root, HOSTILE.replace("/", "|"), [0.7], split="77", data="88"),
        make(root, "g", [0.7], split="99", data="99", title=HOSTILE),
    ]
    others = [hostile_run(root), just_opened(root), only_errors(root), two_objectives(root)]
    return [*(run.path for run in runs), *others]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mixed")
    runs = mixed(root / "runs")
    for run in runs:
        render_run(run, root / "reports")
    render_comparison(runs, root / "reports")
    render_comparison(runs[:2], root / "reports")
    render_index(runs, root / "reports")
    return root


def test_every_link_leads_to_a_file(rendered):
    found = 0
    for path in pages_of(rendered / "reports"):
        for link in links(Page(path)):
            if not link.startswith(("#", "data:")):
                assert (path.parent / unquote(link)).is_file(), (path, link)
                found += 1
    assert found > 60


def test_pages_are_self_contained_and_hostile_names_stay_text(rendered):
    compare, data = (list((rendered / "reports" / name).iterdir()) for name in ("compare", "data"))
    assert len(compare) > 3
    for path in [rendered / "reports" / "index.html", *(
        folder / "index.html" for folder in [*compare, *data] if (folder / "index.html").exists()
    )]:  # fmt: skip
        page = Page(path)
        assert page.scripts == [SCRIPT]
        assert not any(name.startswith("on") for _, name, _ in page.attributes)
        assert not any("://" in value for _, name, value in page.attributes if name != "xmlns")
        assert len(page.ids) == len(set(page.ids))
        drawn = [n for t, n, _ in page.attributes if t == "svg"]
        assert drawn.count("role") == drawn.count("aria-label") == page.tags.count("svg")
    index = Page(rendered / "reports" / "index.html")
    assert HOSTILE in index.text
    assert HOSTILE.replace("/", "|") in index.text


def test_everything_lies_below_the_reports(rendered):
    assert {path.name for path in rendered.iterdir()} == {"runs", "reports"}


def test_rendering_twice_gives_the_same_bytes_whatever_the_order(rendered, tmp_path):
    runs = sorted((rendered / "runs").iterdir())
    for out, order in (("a", runs), ("b", runs[::-1])):
        for run in runs:
            render_run(run, tmp_path / out)
        render_comparison(order, tmp_path / out)
        render_index(order, tmp_path / out)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    before = contents(tmp_path / "a")
    render_index([RunView.open(run) for run in runs], tmp_path / "a")
    assert contents(tmp_path / "a") == before, "opened already"


def test_runs_are_only_read(tmp_path):
    runs = mixed(tmp_path / "runs")
    before = contents(tmp_path / "runs")
    render_index(runs, tmp_path / "reports")
    render_comparison(runs, tmp_path / "reports")
    assert contents(tmp_path / "runs") == before


def test_runs_of_one_basis_get_a_page_that_compares_them(tmp_path):
    runs = [make(tmp_path / "runs", name, [0.5]).path for name in "ab"]
    path = render_index(runs, tmp_path / "reports")
    (folder,) = (tmp_path / "reports" / "compare").iterdir()
    assert f"compare/{folder.name}/index.html" in links(Page(path))
    more = [*runs, make(tmp_path / "runs", "c", [0.4]).path]
    render_index(more, tmp_path / "reports")
    assert list((tmp_path / "reports" / "compare").iterdir()) == [folder], "its name is stable"
    assert "3 runs by RMSE" in Page(folder / "index.html").text


def test_a_single_run_has_nothing_to_be_compared_with(tmp_path):
    run = make(tmp_path / "runs", "a", [0.5]).path
    path = render_index([run], tmp_path / "reports")
    assert not (tmp_path / "reports" / "compare").exists()
    assert "compare" not in Page(path).text.lower().replace("compared", "")
    with pytest.raises(UsageError, match="two runs at least"):
        render_comparison([run, run], tmp_path / "reports")


def test_numbers_beside_a_page_are_those_drawn(tmp_path):
    runs = [make(tmp_path / "runs", n, [0.5, 0.3, 0.4]) for n in "ab"]
    folder = render_comparison([run.path for run in runs], tmp_path / "reports").parent
    drawn = {"distributions": distributions.table(distributions.distributions_info(runs)),
             "progress": races.table(races.races_info(runs))}  # fmt: skip
    for name, table in drawn.items():
        with (folder / "data" / f"{name}.csv").open(newline="") as file:
            head, *rows = list(csv.reader(file))
        assert tuple(head) == table.columns
        assert len(rows) == len(table.rows)
    with (folder / "data" / "metrics.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["run", "trial", "epoch", "RMSE"], ["a", "2", "1", "0.3"], ["b", "2", "1", "0.3"],
        ]  # fmt: skip


def test_a_stale_comparison_is_never_shown_as_current(tmp_path):
    a, b = make(tmp_path / "runs", "a", [0.5]), make(tmp_path / "runs", "b", [0.6])
    render = lambda: Page(render_comparison([a.path, b.path], tmp_path / "reports"))  # noqa: E731
    assert "has not been measured" in render().text
    assert "recsearch compare runs/a runs/b" in render().text
    compared([a, b], {"RMSE": [0.1, 0.2, 0.3]}, {"RMSE": [0.2, 0.4, 0.5]})
    page = render()
    assert "has not been measured" not in page.text
    assert "Out of date" not in page.text
    assert page.tags.count("svg") == 2
    better_trial(b, 0.4)
    page = render()
    assert "Out of date: a, b on the validation part, measured" in page.text
    assert "Measure it again:" in page.text
    assert "details" in page.tags
    assert page.tags.count("svg") == 2, "the progress of two trials, but no differences"


def test_what_cannot_be_compared_is_side_by_side_with_the_reason(tmp_path):
    a = make(tmp_path / "runs", "a", [0.5, 0.6])
    b = make(tmp_path / "runs", "b", [0.4, 0.6], split="77")
    page = Page(render_comparison([a.path, b.path], tmp_path / "reports"))
    assert "Not all of these runs can be compared" in page.text
    assert "other splits of the same ratings (5e5e5e5e5e5e and 777777777777)" in page.text
    assert "Users cannot be paired" in page.text
    assert "recsearch compare" not in page.text
    assert "★" not in page.text
    assert page.tags.count("svg") == 4, "two figures of each"


def test_runs_searched_by_other_objectives_can_be_tested_on_their_users(tmp_path):
    a = make(tmp_path / "runs", "a", [0.5])
    b = make(tmp_path / "runs", "b", [0.4], metric="NDCG", direction="max")
    page = Page(render_comparison([a.path, b.path], tmp_path / "reports"))
    assert "each is the best by its own objective" in page.text
    assert "recsearch compare runs/b runs/a" in page.text


def test_a_search_going_on_is_compared_by_what_it_has(tmp_path):
    a = make(tmp_path / "runs", "a", [0.5, 0.6])
    b = make(tmp_path / "runs", "b", [0.4], exit_code=None)
    page = Page(render_comparison([a.path, b.path, just_opened(tmp_path / "runs")],
                                  tmp_path / "reports"))  # fmt: skip
    assert page.text.count("going on, or killed") == 2
    assert "1/1" in page.text


def test_a_data_set_without_profile_says_what_adds_it(tmp_path):
    a = make(tmp_path / "runs", "a", [0.5])
    render_index([a.path], tmp_path / "reports")
    path = tmp_path / "reports" / "data" / "ml1m-d1d1d1d1" / "index.html"
    page = Page(path)
    assert "recsearch data profile runs/a" in page.text
    assert page.tags.count("svg") == 0
    profiled(a)
    render_index([a.path], tmp_path / "reports")
    assert Page(path).tags.count("svg") == 4
    assert sorted(p.name for p in (path.parent / "data").iterdir()) == [
        "activity.csv", "lorenz.csv", "popularity.csv", "ratings.csv",
    ]  # fmt: skip


def test_two_data_sets_of_one_name_have_two_pages(tmp_path):
    runs = [make(tmp_path / "runs", n, [0.5], data=d, split=d).path for n, d in ("ax", "by", "cx")]
    render_index(runs, tmp_path / "reports")
    found = sorted(p.parent.name for p in (tmp_path / "reports" / "data").glob("*/index.html"))
    assert found == ["ml1m-xxxxxxxx", "ml1m-yyyyyyyy"]
    assert "2 runs" in Page(tmp_path / "reports" / "data" / found[0] / "index.html").text


def test_the_best_of_a_column_is_marked_by_more_than_colour(tmp_path):
    runs = [make(tmp_path / "runs", n, [v], title=n).path for n, v in (("a", 0.5), ("b", 0.4))]
    page = Page(render_index(runs, tmp_path / "reports"))
    assert page.text.count("★ 0.40000") == 1
    assert "★ 0.50000" not in page.text


def test_runs_that_cannot_be_read_are_named(tmp_path):
    page = Page(render_index([], tmp_path / "reports", {f"a{HOSTILE}": "journal line 3"}))
    assert f"a{HOSTILE} cannot be read: journal line 3" in page.text


def test_the_index_without_runs_says_how_to_begin(tmp_path):
    assert "recsearch search als demo" in Page(render_index([], tmp_path)).text


def test_folds_are_a_basis_of_their_own(tmp_path):
    a, b = (make(tmp_path / "runs", name, [0.5]).path for name in "ab")
    edit(b, validation={"folds": 2, "split_ids": ["5e" * 32, "77" * 32]})
    page = Page(render_comparison([a, b], tmp_path / "reports"))
    assert "other numbers of folds (1 validation fold and 2 validation folds)" in page.text


@pytest.fixture
def workplace(tmp_path):
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def invoke(*arguments):
    return CliRunner().invoke(report, arguments)


def test_report_compares_runs_of_choice(workplace):
    for name in "abc":
        make(workplace / "runs", name, [0.5])
    result = invoke("--compare", "b", "runs/a")
    assert result.stdout.split() == ["reports/compare/a+b/index.html", "reports/index.html"]
    assert "compare/a%2Bb/index.html" in links(Page(workplace / "reports" / "index.html"))
    assert isinstance(invoke("--compare", "a").exception, UsageError)
    assert isinstance(invoke("--compare").exception, UsageError)
    assert isinstance(invoke("--compare", "a", "nowhere").exception, UsageError)


def test_a_damaged_run_is_on_the_index(workplace):
    als_run(workplace / "runs", trials=3)
    bad = make(workplace / "runs", "bad", [0.5])
    RunPaths(bad.path).journal.write_text("{}\n{}\n")
    assert invoke("als-ml1m").exit_code == 0
    assert "bad cannot be read" in Page(workplace / "reports" / "index.html").text


def test_a_profile_in_a_run_is_not_trusted(tmp_path):
    a = make(tmp_path / "runs", "a", [0.5])
    profiled(a, first=HOSTILE, last=HOSTILE)
    render_index([a.path], tmp_path / "reports")
    page = Page(tmp_path / "reports" / "data" / "ml1m-d1d1d1d1" / "index.html")
    assert page.scripts == [SCRIPT]
    write_atomic(RunPaths(a.path).data_profile, {"dataset_id": "d1" * 32})
    render_index([a.path], tmp_path / "reports")


def test_equal_ratings_under_two_names_are_one_data_set(tmp_path):
    runs = [make(tmp_path / "runs", name, [0.5]).path for name in "ab"]
    edit(runs[1], dataset__name="csv:other.csv", dataset__title="Other")
    page = Page(render_index(runs, tmp_path / "reports"))
    assert [path.name for path in (tmp_path / "reports" / "compare").iterdir()] == [
        path.split("/")[1] for path in links(page) if path.startswith("compare/")
    ][:1]
    (folder,) = (tmp_path / "reports" / "data").glob("*/")
    assert folder.name == "csv-other.csv-d1d1d1d1"
    assert "2 runs" in Page(folder / "index.html").text
