"""Whole pages: self-contained, deterministic, safe, and there for every kind of run."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fabricate import ML1M, Fabricated, als_run
from odd_runs import ODD

import analysis
from analysis import render_index, render_run
from recsearch.cli.report import report
from recsearch.errors import RecsearchError, UsageError
from recsearch.run import RunView

SCRIPT = (Path(analysis.__file__).parent / "templates" / "sort.js").read_text()
HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "link", "br", "input", "img", "hr"}


class Page(HTMLParser):
    """Tags, ids, references and text of a page; checks that every tag is closed."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        else:
            self.text += data


def files_in(folder: Path) -> dict[str, bytes]:
    """Everything below a folder by its relative path."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def hostile_run(root: Path) -> Path:
    """A maximised objective, every kind of parameter and state, hostile text everywhere."""
    rng = np.random.default_rng(0)
    losses = ["warp", HOSTILE, '日本語 $x^2$ & "q"']
    run = Fabricated(
        name="bpr-demo", title=f"BPR {HOSTILE}", metric="NDCG@10", direction="max", trials=40,
        model=HOSTILE,
        dataset={**ML1M, "title": f"demo {HOSTILE}", "origin": HOSTILE, "official": None,
                 "generated": True, "sha256": None, "notes": [f"generated {HOSTILE}"]},
        space={
            "weight": {"type": "float", "min": 5, "max": 100, "scale": "uniform"},
            "loss": {"type": "choice", "choices": losses},
            "bias": {"type": "bool"},
            "size": {"type": "int", "min": 8, "max": 1024, "scale": "pow2"},
            "layers": {"type": "int", "min": 1, "max": 3},
            f"neg {HOSTILE}": {"type": "int", "min": 1, "max": 10, "when": {"loss": HOSTILE}},
        },
    )  # fmt: skip
    run.opened()
    run.baseline("popular", **{"NDCG@10": 0.05})
    run.baseline("chance", **{"NDCG@10": 0.0013})
    states = {9: "error", 10: "error", 12: "training", 13: "interrupted", 14: "queued"}
    for number in range(1, 15):
        loss = losses[number % 3]
        params = {"weight": float(rng.uniform(5, 100)), "loss": loss, "bias": number % 2 == 0,
                  "size": int(2 ** rng.integers(3, 11)), "layers": 1 + number % 3}  # fmt: skip
        if loss == HOSTILE:
            params[f"neg {HOSTILE}"] = number % 10 + 1
        curve = [0.05 + 0.01 * float(rng.random()) * epoch for epoch in range(1 + number % 5)]
        curve = [math.nan] if number == 10 else curve
        run.trial(number, params, curve, state=states.get(number, "done"), reason=HOSTILE,
                  message=f"bad {HOSTILE}\n second line & more")  # fmt: skip
    return run.write(root)


def one_trial(root: Path) -> Path:
    run = Fabricated(name="one", trials=1)
    run.opened()
    run.trial(1, {"embedding_size": 512}, [0.82], reason="one_shot", origin="default")
    run.closed()
    return run.write(root)


def grid(root: Path) -> Path:
    run = Fabricated(name="iknn", method="grid", trials=4, max_epochs=1, space={
        "k": {"type": "choice", "choices": [5, 20]},
        "s": {"type": "choice", "choices": [1e-6, 0.1]},
    })  # fmt: skip
    run.opened()
    for number, (k, s) in enumerate([(5, 1e-6), (5, 0.1), (20, 1e-6), (20, 0.1)], start=1):
        run.trial(number, {"k": k, "s": s}, [0.8 + 0.2 / k + s], origin="grid", reason="one_shot")
    run.closed()
    return run.write(root)


def just_opened(root: Path) -> Path:
    run = Fabricated(name="opened")
    run.opened()
    run.trial(1, {"embedding_size": 50}, [], state="training")
    return run.write(root)


def all_cached(root: Path) -> Path:
    run = Fabricated(name="cached", trials=2)
    run.opened()
    for number in (1, 2):
        run.trial(number, {"embedding_size": 8 * number}, [0.9, 0.8], cached=True)
    run.closed()
    return run.write(root)


def only_errors(root: Path) -> Path:
    run = Fabricated(name="broken", trials=1)
    run.opened()
    run.trial(1, {"embedding_size": 8}, [math.inf], state="error", reason="OOM", message="")
    run.closed(5)
    return run.write(root)


def empty(root: Path) -> Path:
    return Fabricated(name="empty").write(root)


def no_space(root: Path) -> Path:
    run = Fabricated(name="fixed", space={}, trials=1)
    run.opened()
    run.trial(1, {}, [0.8, 0.7])
    return run.write(root)


def two_objectives(root: Path) -> Path:
    run = Fabricated(name="two", trials=5, others=("NDCG@10",))
    run.opened()
    run.baseline("bias", RMSE=0.9, **{"NDCG@10": 0.01})
    for number in range(1, 6):
        ndcg = {"NDCG@10": 0.05 * (number % 4)}
        params = {"embedding_size": 8 * number}
        run.trial(number, params, [0.95, 0.8 + 0.01 * number], extra=ndcg)
    run.closed()
    return run.write(root)


MAKERS = [als_run, hostile_run, one_trial, grid, just_opened, all_cached, only_errors, empty,
          no_space, two_objectives, *ODD]  # fmt: skip


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Gives the run of a maker and its page, made once for all tests that only look at them."""

    @functools.cache
    def give(make):
        root = tmp_path_factory.mktemp("rendered")
        run = make(root / "runs")
        return run, render_run(run, root / "reports")

    return give


@pytest.mark.parametrize("make", MAKERS)
class TestEveryRunHasAPage:
    def test_page_is_self_contained_and_accessible(self, make, rendered):
        page = Page(rendered(make)[1])
        assert page.scripts == [SCRIPT]
        assert not any(name.startswith("on") for _, name, _ in page.attributes)
        links = [v for t, n, v in page.attributes if n in ("src", "href", "xlink:href")]
        allowed = {"../index.html", "best-config.json", "trials.csv", "epochs.csv", "data:,",
                   "pareto.json"}  # fmt: skip
        figures = re.compile(r"data/[a-z0-9-]+\.csv")
        assert all(
            link in allowed or link.startswith("#") or figures.fullmatch(link) for link in links
        )
        assert "http" not in page.source.replace("http-equiv", "").replace(
            "http://www.w3.org/2000/svg", ""
        )
        images = [v for t, n, v in page.attributes if t == "svg" and n == "role"]
        labels = [v for t, n, v in page.attributes if t == "svg" and n == "aria-label"]
        assert len(images) == len(labels)
        assert all(labels)
        assert len(page.source) < 3_000_000

    def test_ids_are_unique_and_references_resolve(self, make, rendered):
        page = Page(rendered(make)[1])
        assert len(page.ids) == len(set(page.ids))
        asked = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page.source))
        assert asked <= set(page.ids)

    def test_colours_follow_the_theme(self, make, rendered):
        page = Page(rendered(make)[1])
        body = page.source[page.source.index("<body>") :]
        assert not re.search(r"(fill|stroke): ?#", body)
        assert "\ufffd" not in body

    def test_rendering_twice_gives_the_same_bytes(self, make, rendered, tmp_path):
        run, page = rendered(make)
        before = files_in(run)
        again = render_run(run, tmp_path / "reports").parent
        assert files_in(again) == files_in(page.parent)
        assert files_in(run) == before

    def test_tables_hold_every_trial_and_epoch(self, make, rendered):
        run, page = rendered(make)
        folder = page.parent
        view = RunView.open(run)
        trials = list(csv.DictReader(io.StringIO((folder / "trials.csv").read_text())))
        epochs = list(csv.DictReader(io.StringIO((folder / "epochs.csv").read_text())))
        assert [int(row["trial"]) for row in trials] == [t.number for t in view.trials]
        assert len(epochs) == view.counts["epochs"]
        by_key = {(int(row["trial"]), int(row["epoch"])): row for row in epochs}
        for trial in view.trials:
            for row in trial.epochs:
                cells = by_key[row.trial, row.epoch]
                value = float(cells[view.objective.name])
                assert value == row.value(view.objective.name) or math.isnan(value)
                for name, param in trial.params.items():
                    text = cells[f"param.{name}"]
                    assert text == str(param) or json.loads(text) == param


def test_hostile_text_is_shown_as_text(tmp_path):
    path = render_run(hostile_run(tmp_path / "runs"), tmp_path / "reports")
    page = Page(path)
    assert page.scripts == [SCRIPT]
    assert page.text.count(HOSTILE) > 8
    index = Page(render_index([tmp_path / "runs" / "bpr-demo"], tmp_path / "reports"))
    assert index.scripts == [SCRIPT]
    assert HOSTILE in index.text


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.1."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", [0, 1])
def test_text_has_the_contrast_that_wcag_asks_for(theme):
    style = (Path(analysis.__file__).parent / "templates" / "style.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    colours = dict(re.findall(r"(--\w+): (#[0-9a-f]{6})", blocks[theme]))
    for ground in ("--paper", "--panel"):
        for ink in ("--ink", "--muted", "--done", "--best", "--baseline", "--chance", "--error"):
            pair = sorted([luminance(colours[ink]), luminance(colours[ground])])
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, f"{ink} on {ground}"


def test_hostile_folder_names_stay_inside_the_reports(tmp_path):
    run = als_run(tmp_path / "runs", trials=6, name='a" onclick="x" b%2e')
    folder = render_run(run, tmp_path / "reports").parent
    assert folder.parent == tmp_path / "reports"
    index = Page(render_index([run], tmp_path / "reports"))
    assert not any(name == "onclick" for _, name, _ in index.attributes)
    assert ("a", "href", "a%22%20onclick%3D%22x%22%20b%252e/index.html") in index.attributes


def test_index_compares_runs_of_one_split(tmp_path):
    runs = [als_run(tmp_path / "runs", trials=8, name=f"als-{n}", seed=n) for n in (1, 2)]
    for run in runs:
        render_run(run, tmp_path / "reports")
    path = render_index(runs, tmp_path / "reports")
    page, first = Page(path), path.read_bytes()
    assert page.tags.count("svg") == 1
    assert not re.search(r"(fill|stroke): ?#", page.source[page.source.index("<body>") :])
    assert render_index(reversed(runs), tmp_path / "reports").read_bytes() == first


def test_page_tells_what_was_found(tmp_path):
    run = als_run(tmp_path / "runs")
    page = Page(render_run(run, tmp_path / "reports"))
    trial, row = RunView.open(run).best()
    assert f"{row.value('RMSE'):.5f}" in page.text
    assert f"trial {trial.number}, epoch {row.epoch}" in page.text
    for words in ("tuned bias", "Search space", "How to reproduce", "RMSE is nan at epoch 3",
                  "recsearch verify runs/als-ml1m", "d1" * 32, "ratio of 3.57"):  # fmt: skip
        assert words in page.text
    assert page.tags.count("svg") > 9


def test_best_config_is_exact(tmp_path):
    run = als_run(tmp_path / "runs")
    folder = render_run(run, tmp_path / "reports").parent
    document = json.loads((folder / "best-config.json").read_text())
    trial, row = RunView.open(run).best()
    assert document["config"] == trial.config
    assert (document["epochs"], document["trial"]) == (row.epoch, trial.number)
    assert document["metrics"] == row.metrics
    assert document["dataset"]["sha256"] == ML1M["sha256"]


def test_no_best_config_before_there_is_a_best(tmp_path):
    folder = render_run(just_opened(tmp_path / "runs"), tmp_path / "reports").parent
    assert not (folder / "best-config.json").exists()
    assert "best-config.json" not in (folder / "index.html").read_text()


def test_unofficial_data_is_called_so(tmp_path):
    dataset = {**ML1M, "official": False, "notes": ["not the official archive: 12ab"]}
    run = als_run(tmp_path / "runs", trials=6, dataset=dataset)
    page = Page(render_run(run, tmp_path / "reports"))
    assert "not the official archive: 12ab" in page.text


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"run\.json"):
        render_run(tmp_path, tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_an_unwritable_report_folder_is_named(tmp_path):
    run = one_trial(tmp_path / "runs")
    (tmp_path / "reports").write_text("in the way")
    with pytest.raises(RecsearchError, match="cannot write the page") as found:
        render_run(run, tmp_path / "reports")
    assert "--out" in found.value.hint


@pytest.fixture
def workplace(tmp_path):
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def pages_linked(index):
    links = [v for t, n, v in index.attributes if t == "a" and n == "href"]
    return [link for link in links if link.endswith("/index.html")]


def invoke(*arguments):
    return CliRunner().invoke(report, arguments)


def test_report_renders_all_runs_and_the_index(workplace):
    one_trial(workplace / "runs")
    grid(workplace / "runs")
    result = invoke()
    assert result.exit_code == 0
    assert result.stdout.split() == [
        "reports/iknn/index.html", "reports/one/index.html", "reports/index.html",
    ]  # fmt: skip
    index = Page(workplace / "reports" / "index.html")
    links = [v for t, n, v in index.attributes if t == "a" and n == "href"]
    runs = [link for link in links if link.count("/") == 1 and link.endswith(".html")]
    assert sorted(set(runs)) == ["iknn/index.html", "one/index.html"]


def test_report_of_one_run_refreshes_the_index_over_all(workplace):
    one_trial(workplace / "runs")
    grid(workplace / "runs")
    result = invoke("one", "--json")
    assert json.loads(result.stdout) == {
        "pages": ["reports/one/index.html"],
        "index": "reports/index.html",
    }
    index = Page(workplace / "reports" / "index.html")
    links = {v for t, n, v in index.attributes if t == "a" and n == "href"}
    assert "one/index.html" in links
    assert "iknn/index.html" not in links
    assert "iknn" in index.text


def test_report_of_a_run_elsewhere(workplace):
    run = one_trial(workplace / "elsewhere")
    result = invoke(str(run), "--out", "pages")
    assert result.exit_code == 0
    assert (workplace / "pages" / "one" / "index.html").exists()


def test_report_without_runs_writes_an_empty_index(workplace):
    result = invoke()
    assert result.exit_code == 0
    assert result.stdout.split() == ["reports/index.html"]
    assert "No runs below runs/" in result.stderr
    assert "No run yet" in Page(workplace / "reports" / "index.html").text


def test_a_damaged_run_does_not_stop_the_others(workplace):
    one_trial(workplace / "runs")
    bad = grid(workplace / "runs")
    (bad / "journal.ndjson").write_text("{}\n{}\n")
    result = invoke()
    assert isinstance(result.exception, RecsearchError)
    assert "iknn" in str(result.exception)
    assert (workplace / "reports" / "one" / "index.html").exists()
    single = invoke("one")
    assert single.exit_code == 0
    assert "left out" in single.stderr


def test_two_runs_of_one_name_are_refused(workplace):
    one_trial(workplace / "runs")
    one_trial(workplace / "elsewhere")
    result = invoke("elsewhere/one", "runs/one")
    assert isinstance(result.exception, UsageError)
    assert not (workplace / "reports").exists()


def test_the_front_is_on_the_page_and_beside_it(tmp_path):
    """Of RMSE 0.81 to 0.85 with NDCG 0.05, 0.1, 0.15, 0, 0.05 trials 1, 2 and 3 are the front."""
    folder = render_run(two_objectives(tmp_path / "runs"), tmp_path / "reports").parent
    page = Page(folder / "index.html")
    assert "Pareto front" in page.text
    assert "best-config-NDCG@10.json" in page.text
    document = json.loads((folder / "pareto.json").read_text())
    found = [(p["trial"], p["epoch"], p["best_by"]) for p in document["front"]]
    assert found == [(1, 2, ["RMSE"]), (2, 2, []), (3, 2, ["NDCG@10"])]


def test_one_objective_has_no_front(tmp_path):
    folder = render_run(one_trial(tmp_path / "runs"), tmp_path / "reports").parent
    assert "Pareto front" not in Page(folder / "index.html").text
    assert not (folder / "pareto.json").exists()
