"""Tables of results: numbers from fabricated runs by hand, and what is published for them."""

from __future__ import annotations

import json
import re
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent / "analysis"))
sys.path.insert(0, str(Path(__file__).parent / "models"))

from fabricate import Fabricated
from model_splits import make_split

from benchmarks import measured as measuring
from benchmarks import published
from benchmarks import results_table as table
from benchmarks.published import Value, gain, target
from recsearch.errors import DataNotFoundError, UsageError
from recsearch.evaluation import parse
from recsearch.run import RunView

RMSE, RBP = parse("RMSE"), parse("RBP")
HERE = {"cpu": "c", "cores": 2, "memory_gib": 1, "system": "s", "python": "3", "versions": {}}


def no_data(identity: dict[str, Any], part: int | None) -> Any:
    raise DataNotFoundError("the ratings are not at hand")


def als(root: Path, **settings: Any) -> Path:
    """Best 0.81 in epoch 2 of trial 1; 0.86 for bias; one of each state; killed and resumed."""
    run = Fabricated(**settings)
    run.opened()
    run.baseline("bias", RMSE=0.86)
    run.trial(1, {"embedding_size": 50, "damping.user": 5.0, "damping.item": 1.5e-9}, [0.9, 0.81])
    run.trial(2, {"embedding_size": 4}, [0.95], state="pruned")
    run.tick(3600)  # Nobody at work: the first session was killed after 12 s.
    run.opened(resumed=True)
    run.trial(3, {"embedding_size": 5}, [0.8], state="error", cached=True)
    run.trial(4, {"embedding_size": 6}, [], state="queued")
    run.closed()
    # The epoch of the trial that erred is the better one; it has no finite value.
    run.events = [
        {**e, "metrics": {"RMSE": None}} if e["event"] == "epoch" and e["trial"] == 3 else e
        for e in run.events
    ]
    return run.write(root)


def read(path: Path, splits: Any = no_data) -> measuring.Measured:
    return measuring.measured(RunView.open(path), measuring.Biases(splits))


def chosen(m: measuring.Measured) -> Value | None:
    return target(published.load(), m.data, m.algorithm, m.metric, m.identity["split"])


def cells(text: str, row: int = 0) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    head, found = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], lines[2 + row])
    )
    return dict(zip(head, found, strict=True))


def test_a_run_by_hand(tmp_path: Path) -> None:
    m = read(als(tmp_path))
    assert (m.algorithm, m.value, m.epoch, m.epochs, m.cached_epochs) == ("als", 0.81, 2, 4, 1)
    assert dict(m.states) == {"done": 1, "pruned": 1, "error": 1, "queued": 1}
    assert m.cpu_s == pytest.approx(3 * (3.2 + 0.6 + 0.05))  # The cached one took none.
    assert m.wall_s == pytest.approx(12.0 + 1.1)
    assert not m.here
    found = cells(table.markdown([(m, chosen(m))], HERE))
    assert found["gain over bias"] == "+0.0500"
    assert found["over popularity"] == "-"
    assert found["configuration"] == "embedding_size 50; damping.user 5, .item 1.5e-09"
    assert found["done / pruned / error"] == "1 / 1 / 1, 1 open"
    assert found["best epoch / epochs"] == "2 / 4"
    assert (found["wall"], found["CPU"]) == ("13.1 s", "11.6 s")
    # The best published gain is that of July 2026, not the lowest RMSE.
    assert (found["Codex"], found["Codex's gain over bias"]) == ("0.82617", "+0.0541")
    assert found["at least the Codex's?"] == "**no** (gain -0.0041)"


def test_on_the_split_of_the_codex_values_are_compared(tmp_path: Path) -> None:
    path = als(tmp_path)
    identity = json.loads((path / "run.json").read_text())
    identity["split"] |= {"method": "crossfold-users", "folds": 5, "holdout": 5, "part": 0,
                          "seed": 20260701, "rng": "shared"}  # fmt: skip
    (path / "run.json").write_text(json.dumps(identity))
    m = read(path)
    value = chosen(m)
    assert value is not None and value.split == "B"
    found = cells(table.markdown([(m, value)], HERE))
    assert found["at least the Codex's?"] == "yes (+0.0162)", "0.82617 - 0.81"
    assert table.ahead(m, value) == pytest.approx(0.01617)
    other = {**m.identity["split"], "seed": 7}
    assert not value.measured_on(other)


@pytest.mark.parametrize(
    ("run", "label"),
    [
        ("als-ml1m", "als"),
        ("als-ml1m-rngshared", "als"),
        ("als-ml1m-256-rngshared", "als (256)"),
        ("mine", "als (mine)"),
    ],
)
def test_runs_are_called_by_what_is_unusual(tmp_path: Path, run: str, label: str) -> None:
    m = replace(read(als(tmp_path)), run=run)
    assert cells(table.markdown([(m, None)], HERE))["algorithm"] == label


def test_gains_are_positive_where_ours_is_better() -> None:
    assert gain(RMSE, 0.8, 0.9) == pytest.approx(0.1)
    assert gain(RBP, 0.8, 0.9) == pytest.approx(-0.1)
    assert gain(RBP, None, 0.9) is gain(RBP, 0.8, None) is None
    assert table.verdict(-0.00004) is True  # Alike as compared.
    assert table.verdict(-0.0001) is False
    assert table.verdict(None) is None


def test_the_target_is_of_the_same_ratings_then_the_best_gain_before_any_value() -> None:
    def value(split: str, number: float, drawn: Any = None, **bias: float) -> Value:
        return Value("d", split, "a", "RBP", number, bias=bias, drawn=drawn)

    low, high, unknown = value("A", 0.2, RBP=0.19), value("B", 0.1, RBP=0.01), value("C", 0.9)
    for order in ([low, high, unknown], [unknown, low, high], [high, unknown, low]):
        assert target(order, "d", "a", RBP, {}) is high
    assert target([value("C", 0.3), unknown], "d", "a", RBP, {}) is unknown
    assert target([low], "d", "other", RBP, {}) is target([low], "e", "a", RBP, {}) is None
    assert target([low], "d", "a", RMSE, {}) is None
    same, more = value("D", 0.05, {"seed": 7}), value("D", 0.06, {"seed": 7})
    for order in ([same, more, high], [high, more, same], [more, high, same]):
        assert target(order, "d", "a", RBP, {"seed": 7, "part": 0}) is more
        assert target(order, "d", "a", RBP, {"seed": 8, "part": 0}) is high


def test_what_the_codex_published() -> None:
    values = published.load()
    assert {(v.data, v.split) for v in values} == {
        (data, split) for data in ("ml1m", "ml100k") for split in "AB"
    }
    page = next(v for v in values if v.date == "2025-03-27")
    assert page.gain(RMSE) == pytest.approx(0.0395, abs=5e-5)
    best = {("ml1m", "iknn-explicit", RMSE): 0.05505, ("ml1m", "als-implicit", RBP): 0.09165,
            ("ml100k", "als", RMSE): 0.04163, ("ml1m", "ease", RBP): None,
            ("ml1m", "bias", RMSE): 0.0}  # fmt: skip
    for (data, algorithm, metric), expected in best.items():
        found = target(values, data, algorithm, metric, {})
        assert found is not None
        assert found.gain(metric) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("name", "word"), [("ease", "no published gain"), ("mine", "not published")]
)
def test_absent_published_values(tmp_path: Path, name: str, word: str) -> None:
    path = als(tmp_path, metric="RBP", direction="max")
    identity = json.loads((path / "run.json").read_text())
    identity["search_file"] = f"searches/{name}.toml"
    (path / "run.json").write_text(json.dumps(identity))
    m = read(path)
    found = cells(table.markdown([(m, chosen(m))], HERE))
    assert found["at least the Codex's?"] == word
    assert found["Codex's gain over bias"] == found["gain over bias"] == "-"


def test_bias_of_a_ranker_is_computed_once_on_its_own_split(tmp_path: Path) -> None:
    asked = []

    def splits(identity: dict[str, Any], part: int | None) -> Any:
        asked.append(part)
        return make_split(seed=part or 0)

    path = als(tmp_path, metric="RBP", direction="max")
    biases = measuring.Biases(splits)
    alone = biases.of(RunView.open(path))
    assert alone is not None
    assert biases.of(RunView.open(path)) == alone
    assert asked == [None]
    identity = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**identity, "validation": {"folds": 2}}))
    view = RunView.open(path)
    other = measuring.Biases(lambda *_: make_split(seed=1)).of(RunView.open(path))
    assert biases.of(view) == pytest.approx(np.mean([alone, other]))
    assert asked == [None, None, 1]
    absent = measuring.Biases(no_data)
    assert absent.of(view) is None
    assert "not at hand" in absent.problems[0]


def test_a_run_without_an_epoch(tmp_path: Path) -> None:
    run = Fabricated()
    run.opened()
    m = read(run.write(tmp_path))
    assert m.value is None and m.wall_s == 0
    assert cells(table.markdown([(m, None)], HERE))["best"] == "no epoch"


def test_update_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "h")
    path, page, out = als(tmp_path), tmp_path / "page.md", tmp_path / "new" / "out.json"
    before, after = "# By hand\n\n", "\n\n## By hand, too\n"
    page.write_text(f"{before}{table.BEGIN}\nearlier tables\n{table.END}{after}")
    arguments = [str(path), "--update", str(page), "--json", str(out)]
    for _ in range(2):
        done = CliRunner().invoke(table.main, arguments)
        assert done.exit_code == 0, done.output
        text = page.read_text()
        assert text.startswith(before + table.BEGIN) and text.endswith(table.END + after)
        assert "earlier tables" not in text and text.count("| als |") == 1
    found = json.loads(out.read_text())
    assert found["searched_on_this_machine"] and found["machine"]["cores"]
    (row,) = found["rows"]
    assert row["gain_over_bias"] == pytest.approx(0.05)
    assert row["published"]["split"] == "B" and row["at_least_published"] is False


@pytest.mark.parametrize(
    "text", ["", table.BEGIN, table.END, table.END + table.BEGIN, 2 * (table.BEGIN + table.END)]
)
def test_update_refuses_a_page_without_markers(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(UsageError, match="nothing was changed"):
        table.replace_between_markers(page, "new")
    assert page.read_text() == text


def test_durations() -> None:
    found = [table.duration(s) for s in (9.54, 59.97, 245.2, 3599.7, 7380)]
    assert found == ["9.5 s", "1 min 00 s", "4 min 05 s", "1 h 00 min", "2 h 03 min"]


def test_the_page_has_its_markers() -> None:
    page = Path(__file__).parent.parent / "docs" / "results.md"
    assert re.search(f"{table.BEGIN}.*{table.END}", page.read_text(encoding="utf-8"), re.DOTALL)
