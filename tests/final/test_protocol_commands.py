"""final, compare, evaluate and predict as commands; and who may read test data at all."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from final_tools import copy

from recsearch.cli import cli
from recsearch.comparison_file import read_comparisons
from recsearch.errors import UsageError
from recsearch.loading import split_of
from recsearch.run import RunView
from recsearch.store import Store

pytestmark = pytest.mark.usefixtures("log")  # commands of their own must find the model, too

ROOT = Path(__file__).resolve().parent.parent.parent


def invoke(*words: Any) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def test_final_prints_json_on_stdout_and_progress_on_stderr(
    noisy_run: RunView, tmp_path: Path
) -> None:
    root = copy(noisy_run, tmp_path / "a")
    words = ("final", root, "--parts", 1, "--seeds", 1, 2, "--workers", 1)
    result = invoke(*words, "--json")
    assert json.loads(result.stdout)["seeds"] == [1, 2]
    assert "best, part 1, seed 2: fit" in result.stderr
    result = invoke(*words, "--no-default")
    assert "RMSE" in result.stdout
    assert "default" not in result.stdout.splitlines()[0]
    assert result.stderr == "", "nothing was left to do"


def test_compare_by_validation_and_by_test(noisy_run: RunView, tmp_path: Path) -> None:
    roots = [copy(noisy_run, tmp_path / name) for name in ("a", "b")]
    rows = json.loads(invoke("compare", *roots, "--metrics", "RMSE, MAE", "--json").stdout)
    assert [(row["metric"], row["p_t"], row["difference"]) for row in rows] == [
        ("RMSE", 1.0, 0.0),
        ("MAE", 1.0, 0.0),
    ]
    assert (rows[0]["one"], rows[0]["other"]) == tuple(map(str, roots)), "names alike: folders"
    _, best = noisy_run.best()
    assert rows[0]["mean_one"] == pytest.approx(best.metrics["RMSE"])
    with pytest.raises(UsageError, match="no test results here"):
        invoke("compare", *roots, "--test")
    for root in roots:
        invoke("final", root, "--parts", 1, "--seeds", 1, 2, "--workers", 1, "--no-default", "-q")
    with pytest.raises(UsageError, match="one format at a time"):
        invoke("compare", *roots, "--test", "--json", "--csv")
    with pytest.raises(UsageError, match="--store plays no part with --test"):
        invoke("compare", *roots, "--test", "--store", tmp_path)
    assert "seeds" not in invoke("compare", *roots).stdout.splitlines()[0], "of other parts"
    text = invoke("compare", *roots, "--test").stdout
    assert "seeds" in text.splitlines()[0]
    assert "test parts" in text
    assert not (roots[0] / "comparisons").exists(), "pages are named by folder, and these are alike"


def test_compare_keeps_what_it_found_for_pages(noisy_run: RunView, tmp_path: Path) -> None:
    """Renamed copies, so that both have a page; the first by name has the result."""
    roots = [copy(noisy_run, tmp_path / name).rename(tmp_path / name / name) for name in "ab"]
    views = {root.name: RunView.open(root) for root in roots}
    invoke("compare", *reversed(roots), "--metrics", "RMSE")
    (stored,) = read_comparisons(roots[0])
    assert read_comparisons(roots[1]) == []
    assert (stored.kind, list(stored.runs)) == ("validation", ["b", "a"])
    assert [row.metric for row in stored.rows] == ["RMSE"]
    assert stored.matches(views)
    assert stored.outdated(views) == []
    trial, row = noisy_run.best()
    assert (stored.runs["a"]["trial"], stored.runs["a"]["epoch"]) == (trial.number, row.epoch)
    invoke("compare", *roots)
    (again,) = read_comparisons(roots[0])
    assert len(again.rows) > 1, "of the same runs, so in its place"
    for root in roots:
        invoke("final", root, "--parts", 1, "--seeds", 1, "--workers", 1, "--no-default", "-q")
    invoke("compare", *roots, "--test")
    tested, _ = sorted(read_comparisons(roots[0]), key=lambda found: found.kind)
    assert (tested.kind, tested.outdated(views)) == ("test", [])
    invoke("final", roots[1], "--parts", 1, "--seeds", 1, 2, "--workers", 1, "--no-default", "-q")
    assert tested.outdated(views) == ["b"]


def test_runs_that_cannot_be_written_are_compared_all_the_same(
    noisy_run: RunView, tmp_path: Path
) -> None:
    roots = [copy(noisy_run, tmp_path / name).rename(tmp_path / name / name) for name in "ab"]
    (roots[0] / "comparisons").write_text("in the way")
    result = invoke("compare", *roots, "--metrics", "RMSE", "--json")
    assert json.loads(result.stdout)[0]["metric"] == "RMSE"
    assert "not kept for pages" in result.stderr


def test_evaluate_measures_from_the_store_and_tells_what_is_missing(
    noisy_run: RunView, tmp_path: Path
) -> None:
    root = copy(noisy_run, tmp_path / "a")
    view, out = RunView.open(root), tmp_path / "metrics.csv"
    trial, row = view.best()
    words = ("evaluate", root, "--metrics", "RMSE,NDCG@5", "--out", out, "--json")
    (found,) = json.loads(invoke(*words).stdout)
    assert (found["trial"], found["epoch"]) == (trial.number, row.epoch)
    assert found["metrics"]["RMSE"] == pytest.approx(row.metrics["RMSE"], abs=1e-12)
    assert out.read_text().splitlines()[0] == "trial,epoch,RMSE,NDCG@5"
    with Store.open(view.store_url) as store:
        store.drop(store.read(trial.key, row.epoch))
    main = [sys.executable, "-m", "recsearch", "evaluate", str(root), "--metrics", "RMSE"]
    done = subprocess.run(main, capture_output=True, text=True)
    assert done.returncode == 5
    assert f"epoch {row.epoch} is not in the store" in done.stderr


def test_predict_writes_the_same_bytes_in_every_process(noisy_run: RunView, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    invoke("predict", noisy_run.path, "--out", one, "-n", 7)
    words = ["predict", str(noisy_run.path), "--out", str(two), "-n", "7"]
    subprocess.run([sys.executable, "-m", "recsearch", *words], check=True, capture_output=True)
    assert one.read_bytes() == two.read_bytes()
    split, table = split_of(noisy_run.identity), pq.read_table(one).to_pydict()
    assert sorted(set(table["user_id"])) == split.user_ids[split.eval_users].tolist()
    pairs = set(zip(table["user_id"], table["item_id"], strict=True))
    for user in split.eval_users[:20]:
        begin, end = split.train.indptr[user : user + 2]
        known = split.item_ids[split.train.items[begin:end]].tolist()
        assert not pairs & {(int(split.user_ids[user]), item) for item in known}


def test_predict_for_users_of_a_file(noisy_run: RunView, tmp_path: Path) -> None:
    out, users = tmp_path / "lists.csv", tmp_path / "users.txt"
    chosen = split_of(noisy_run.identity).user_ids[:2].tolist()
    users.write_text(f"{chosen[1]}\r\n\n{chosen[0]}\n")
    invoke("predict", noisy_run.path, "--out", out, "-n", 2, "--users", users)
    lines = out.read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(u) for u in chosen for _ in "ab"]
    for text, told in (("\n", "names no user"), ("nobody", "line 1: user nobody is not among")):
        users.write_text(text)
        with pytest.raises(UsageError, match=told):
            invoke("predict", noisy_run.path, "--out", out, "--users", users)
    with pytest.raises(UsageError, match=r"the ending \.txt is no format"):
        invoke("predict", noisy_run.path, "--out", users)


def test_b11_no_other_module_asks_for_a_part_of_its_own() -> None:
    """The shipped weights are those that were measured, and tests stay tests: B9 and B11."""
    wrong = []
    for path in sorted(ROOT.glob("recsearch/**/*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("recsearch/final/") or name == "recsearch/loading.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            asks = ast.unparse(node.func).endswith("split_of")
            if asks and len(node.args) + len(node.keywords) > 1:
                wrong.append(f"{name}:{node.lineno}")
    assert wrong == []
