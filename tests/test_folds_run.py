"""A whole search with folds, and everything that reads its run."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from search_tools import search_without_ray, write_search

from analysis.exports import epochs_csv, trials_csv
from analysis.folds import folds_info
from analysis.pages import render_run
from recsearch.baselines import compute_baselines, mean_baselines
from recsearch.best import config_document, result_document
from recsearch.cli import cli
from recsearch.cli.store.address import find, parse
from recsearch.cost import CostModel
from recsearch.data import SplitSpec, load_dataset, load_split
from recsearch.errors import IdentityError, UsageError, VerificationError
from recsearch.estimate import estimate
from recsearch.loading import check_metrics, fold_split, open_checkpoint
from recsearch.measuring import measure
from recsearch.models import resolve
from recsearch.plan import owner_of, trial_keys
from recsearch.request import Request, request_of_run, resolve_request
from recsearch.run import RunView, check_identity, read_identity
from recsearch.run_paths import RunPaths
from recsearch.spec import load_search
from recsearch.store import Store
from recsearch.store.retention import parse_retention
from recsearch.tuning.housekeeping import Housekeeper
from recsearch.verification import read_config, verify

K = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    overrides: dict[str, Any] = {"search.trials": 2, "search.max_epochs": 3}
    return search_without_ray(folder, folds=K, **overrides).path


@pytest.fixture
def view(root: Path) -> RunView:
    return RunView.open(root)


def run_command(*arguments: str) -> Any:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


def test_run_and_journal_say_what_was_validated_on(view: RunView) -> None:
    ratings = load_dataset("demo")
    splits = [load_split(ratings, SplitSpec(), part) for part in range(K)]
    assert view.identity["validation"] == {
        "folds": K, "split_ids": [split.split_id for split in splits]
    }  # fmt: skip
    assert view.identity["split"]["split_id"] == splits[0].split_id
    family, metrics = resolve("als"), tuple(view.identity["metrics"])
    for trial in view.trials:
        assert trial.keys == trial_keys(family, trial.config, splits, 42, metrics)
        assert trial.key == trial.keys[0]
        for row in trial.epochs:
            assert row.folds is not None
            for name, value in row.metrics.items():
                assert value == pytest.approx(sum(fold[name] for fold in row.folds) / K, rel=1e-12)


def test_a_search_without_folds_records_none(tmp_path: Path) -> None:
    overrides: dict[str, Any] = {"search.trials": 1, "search.max_epochs": 2}
    view = search_without_ray(tmp_path, **overrides)
    assert "validation" not in view.identity
    lines = [json.loads(line) for line in (view.path / "journal.ndjson").read_text().splitlines()]
    assert not any({"keys", "folds"} & event.keys() for event in lines)
    trial, row = view.best() or pytest.fail("no best")
    for document in (config_document, result_document):
        assert not {"folds", "keys", "std", "validation"} & document(
            view.identity, trial, row).keys()  # fmt: skip
    assert folds_info(view) == ()
    assert "fold" not in epochs_csv(view).splitlines()[0]


def test_every_fold_loads_as_the_model_that_was_measured(view: RunView) -> None:
    seen = set()
    for fold in range(K):
        loaded = open_checkpoint(view.path, fold=fold)
        split = fold_split(view.identity, fold)
        found = measure(loaded.model, loaded.family, split, tuple(loaded.metrics))
        assert check_metrics(loaded.metrics, found, "reloaded") <= 1e-6
        seen.add(loaded.metrics["RMSE"])
    assert len(seen) == K
    with pytest.raises(UsageError, match=r"--fold 3: run has folds 0 to 2"):
        open_checkpoint(view.path, fold=3)


def test_load_checks_the_fold_that_it_is_asked_for(root: Path, tmp_path: Path) -> None:
    done = run_command("load", str(root), "--fold", "1", "--json", "--out", str(tmp_path / "m"))
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    view = RunView.open(root)
    _, row = view.best() or pytest.fail("no best")
    assert (report["fold"], report["metrics"]) == (1, (row.folds or [])[1])
    assert json.loads((tmp_path / "m" / "model.json").read_text())["fold"] == 1
    shown = run_command("load", str(root), "--fold", "2").stdout
    assert f"mean       {row.value('RMSE'):.6f} over the folds" in shown


def test_evaluate_and_predict_know_folds(root: Path, view: RunView, tmp_path: Path) -> None:
    best = view.best()
    assert best is not None and best[1].folds is not None
    done = run_command("evaluate", str(root), "--metrics", "RMSE", "--json")
    (row,) = json.loads(done.stdout)
    assert row["metrics"]["RMSE"] == pytest.approx(best[1].metrics["RMSE"], abs=1e-12)
    want = [fold["RMSE"] for fold in best[1].folds]
    assert [fold["RMSE"] for fold in row["folds"]] == pytest.approx(want, abs=1e-12)
    files = [tmp_path / f"{fold}.csv" for fold in range(K)]
    for fold, file in enumerate(files):
        run_command("predict", str(root), "--out", str(file), "--fold", str(fold))
    assert len({file.read_bytes() for file in files}) == K
    with pytest.raises(UsageError, match=f"has folds 0 to {K - 1}"):
        run_command("predict", str(root), "--out", str(tmp_path / "x.csv"), "--fold", str(K))


def test_best_files_have_each_fold_and_verify_retrains_all(root: Path) -> None:
    document = read_config(RunPaths(root).best_config)
    result = json.loads(RunPaths(root).best_result.read_text())
    assert len(document["folds"]) == len(document["keys"]) == len(result["folds"]) == K
    values = [fold["RMSE"] for fold in document["folds"]]
    mean = sum(values) / K
    assert document["value"] == result["value"] == pytest.approx(mean)
    spread = (sum((value - mean) ** 2 for value in values) / (K - 1)) ** 0.5
    assert result["std"]["RMSE"] == pytest.approx(spread)
    store = str(root.parent / "store")
    seen: list[int] = []
    verified = verify(document, store, seen.append)
    assert (verified.folds, verified.bit_equal) == (K, True)
    assert verified.metrics["RMSE"] == pytest.approx(document["value"], abs=1e-6)
    assert seen == list(range(1, K * document["epochs"] + 1))
    # Two wrong folds that leave the mean as it is.
    wrong = [dict(fold) for fold in document["folds"]]
    wrong[1]["RMSE"] += 0.01
    wrong[2]["RMSE"] -= 0.01
    with pytest.raises(VerificationError, match="fold 1 retrained: 1 of"):
        verify({**document, "folds": wrong})
    said = run_command("verify", str(root), "--store", store)
    assert f"in the mean and in each of {K} folds" in said.stdout


def test_another_split_of_a_fold_is_noticed(view: RunView) -> None:
    ids = [*view.identity["validation"]["split_ids"][:2], "0" * 64]
    other = {**view.identity, "validation": {"folds": K, "split_ids": ids}}
    fold_split(other, 1)
    with pytest.raises(VerificationError, match="the split of fold 2 at hand is another one"):
        fold_split(other, 2)


def test_checkpoints_have_a_name_by_fold(root: Path, view: RunView) -> None:
    trial, row = view.best() or pytest.fail("no best")
    for fold, text in enumerate(("", ".1", ".2")):
        found = find(f"{root}:{trial.number}{text}:best", None)
        assert (found.key, found.epoch) == (trial.keys[fold], row.epoch)
        assert found.trial == f"run trial {trial.number} fold {fold}"
    assert find(str(root), None).key == trial.keys[0]
    with pytest.raises(UsageError, match=r"'1\.x' is not the number of a trial"):
        parse(f"{root}:1.x:best")
    with pytest.raises(UsageError, match="fold 3: run has folds 0 to 2"):
        find(f"{root}:1.3:best", None)


def test_status_and_exports_have_mean_deviation_and_folds(root: Path, view: RunView) -> None:
    found = json.loads(run_command("status", str(root), "--json").stdout)["trials"]
    rows = {row["trial"]: row for row in found}
    trials = {int(row["trial"]): row for row in csv.DictReader(io.StringIO(trials_csv(view)))}
    epochs = list(csv.DictReader(io.StringIO(epochs_csv(view))))
    for trial in view.trials:
        best = view.trial_best(trial) or pytest.fail("no best")
        values = [fold["RMSE"] for fold in best.folds or ()]
        shown = rows[trial.number]
        assert [shown[f"RMSE.fold{fold}"] for fold in range(K)] == values
        assert shown["RMSE.std"] > 0
        written = trials[trial.number]
        assert [float(written[f"RMSE.fold{fold}"]) for fold in range(K)] == values
        assert float(written["RMSE.std"]) == shown["RMSE.std"]
        lines = [line for line in epochs if line["trial"] == str(trial.number)]
        assert [[float(line[f"NDCG@10.fold{fold}"]) for fold in range(K)] for line in lines] == [
            [fold["NDCG@10"] for fold in row.folds or ()] for row in trial.epochs
        ]
    text = run_command("status", str(root)).stdout
    assert "folds      " in text
    assert "(mean " in text


def test_the_page_shows_the_folds_of_the_best_epoch(view: RunView, tmp_path: Path) -> None:
    info = folds_info(view)
    _, row = view.best() or pytest.fail("no best")
    assert info[0].name == "RMSE"
    assert info[0].values == tuple(fold["RMSE"] for fold in row.folds or ())
    page = render_run(view.path, tmp_path).read_text()
    assert "the mean over 3 validation folds" in page
    assert '<th scope="col" class="n">fold 2</th>' in page
    assert "mean over parts 0 to 2 of 5" in page


def test_another_number_of_folds_is_another_run(root: Path, view: RunView) -> None:
    request = request_of_run(
        root, view.identity, quota=None, workers=None, retry_errors=False, command=""
    )
    assert request.folds == K
    assert check_identity(RunPaths(root), resolve_request(request).identity)
    fewer = resolve_request(replace(request, folds=1))
    with pytest.raises(IdentityError, match="validation: the run has"):
        check_identity(RunPaths(root), fewer.identity)
    with pytest.raises(UsageError, match="none would be left to test"):
        resolve_request(replace(request, folds=5))


def test_the_command_line_names_the_run_after_its_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recsearch.cli import dry_run

    monkeypatch.chdir(tmp_path)
    asked: list[Request] = []
    monkeypatch.setattr(
        dry_run, "print_forecast", lambda found, request, *_, **__: asked.append(request)
    )
    for options in ((), ("--folds", "1"), ("--folds", "2", "--seed", "7")):
        done = run_command("search", "als", "demo", "--dry-run", *options)
        assert done.exit_code == 0, done.output
    assert [request.run_root.name for request in asked] == [
        "als-demo", "als-demo", "als-demo-seed7-folds2",
    ]  # fmt: skip
    assert asked[-1].folds == 2
    with pytest.raises(UsageError) as refused:
        run_command("search", "als", "demo", "--folds", "5", "--dry-run")
    assert refused.value.hint == "Use --folds 4."


def test_estimates_count_every_fold(tmp_path: Path) -> None:
    spec = load_search("als", overrides={"search.trials": 4})
    one, three = (
        resolve_request(Request(spec, "demo", tmp_path, "store", folds=folds)) for folds in (1, K)
    )
    assert [split.part for split in three.splits] == [0, 1, 2]
    small, large = estimate(one), estimate(three)
    assert small is not None
    assert large is not None
    assert large.epochs == K * small.epochs
    assert large.needed - large.shared == K * (small.needed - small.shared)
    config = one.family.complete({})
    alone, together = (CostModel(one.family, one.split, 1e10, folds=n) for n in (1, K))
    assert together.train_seconds(config) == pytest.approx(K * (alone.train_seconds(config) or 0))
    assert together.eval_seconds(config) == pytest.approx(K * alone.eval_seconds(config))
    peak = one.family.work(config, one.split).peak_bytes
    assert together.worker_bytes(config) - alone.worker_bytes(config) == (K - 1) * peak


def test_baselines_are_means_over_the_folds() -> None:
    ratings = load_dataset("demo")
    splits = [load_split(ratings, SplitSpec(), part) for part in range(2)]
    each = [compute_baselines(split, ("RMSE", "NDCG@10")) for split in splits]
    both = mean_baselines(splits, ("RMSE", "NDCG@10"))
    assert both.keys() == each[0].keys()
    for name, baseline in both.items():
        for metric, value in baseline["metrics"].items():
            folds = [found[name]["metrics"][metric] for found in each]
            assert value == pytest.approx(sum(folds) / 2)
            assert [fold[metric] for fold in baseline["folds"]] == folds
    assert both["bias"]["config"] == {"folds": [found["bias"]["config"] for found in each]}
    assert mean_baselines(splits[:1], ("RMSE", "NDCG@10")) == each[0] | {}


def planted_run(folder: Path, **search: Any) -> RunView:
    """Fold 0 alone would choose epoch 1; the mean over the folds is best at epoch 2."""
    path = write_search(folder / "planted.toml", "planted:PlantedFolds", trials=2, max_epochs=4,
                        **search)  # fmt: skip
    text = path.read_text().replace(
        "[search]", "config = { best_epoch = 1, shift = 1, size = 500 }\n[search]", 1
    )
    path.write_text(text)
    return search_without_ray(folder, search=str(path), folds=K, **{
        "search.trials": 2, "search.max_epochs": 4})  # fmt: skip


def test_prune_judges_the_mean_and_all_folds_of_a_key_together(tmp_path: Path) -> None:
    view = planted_run(tmp_path, retention="all")
    store, trial = tmp_path / "store", view.trials[0]
    run_command("store", "prune", trial.keys[1], "--policy", "best+last", "--even-all",
                "--store", str(store))  # fmt: skip
    with Store.open(store) as opened:
        assert [opened.epochs(key) for key in trial.keys] == [[2, 4]] * K
        assert [opened.epochs(key) for key in view.trials[1].keys] == [[1, 2, 3, 4]] * K


def test_a_quota_counts_and_drops_all_folds(tmp_path: Path) -> None:
    view = planted_run(tmp_path)
    record, run_id = view.record, view.identity["run_id"]
    for trial in view.trials:
        assert [view.trial_best(trial)] == [trial.epochs[1]]
    with Store.open(tmp_path / "store") as store:
        for key in (key for trial in view.trials for key in trial.keys):
            assert store.epochs(key) == [2, 4]
        keeper = Housekeeper(store, record, parse_retention("best+last", "min"), run_id, 10**9)
        keeper.tick()
        total = keeper._holdings.total
        assert total > 2 * K * 2 * 4 * 500, "two trials, three folds, two epochs each"
        quota = int(0.6 * total)
        Housekeeper(store, record, parse_retention("best+last", "min"), run_id, quota).tick()
        best, worst = sorted(view.trials, key=lambda t: view.trial_best(t).value("RMSE"))  # type: ignore[union-attr]
        assert [store.epochs(key) for key in worst.keys] == [[2]] * K
        assert all(2 in store.epochs(key) for key in best.keys)
        assert owner_of(run_id, 1) in {m.info["owner"] for m in store.manifests()}


def test_recomputed_arrays_of_a_fold_come_from_its_own_split(tmp_path: Path) -> None:
    overrides: dict[str, Any] = {"search.trials": 1, "search.max_epochs": 4,
                                 "search.retention": "all", "search.recompute": True,
                                 "search.stop": "none"}  # fmt: skip
    view = search_without_ray(tmp_path, folds=2, **overrides)
    for epoch in range(1, 5):
        loaded = open_checkpoint(view.path, trial=1, epoch=epoch, fold=1)
        split = fold_split(view.identity, 1)
        found = measure(loaded.model, loaded.family, split, tuple(loaded.metrics))
        assert check_metrics(loaded.metrics, found, "reloaded") <= 1e-6


def test_a_resumed_search_takes_the_folds_of_its_journal(tmp_path: Path) -> None:
    overrides: dict[str, Any] = {"search.trials": 1, "search.max_epochs": 2}
    first = search_without_ray(tmp_path, folds=2, **overrides)
    overrides["search.trials"] = 2
    again = search_without_ray(tmp_path, folds=2, **overrides)
    assert [trial.keys for trial in again.trials][:1] == [first.trials[0].keys]
    assert len(again.trials[1].keys) == 2
    assert read_identity(RunPaths(again.path)) == first.identity


def test_status_picks_trials(root: Path, view: RunView) -> None:
    every = json.loads(run_command("status", str(root), "--json").stdout)["trials"]
    size = every[0]["params.embedding_size"]
    words = ("status", str(root), "--json", "--where")
    found = json.loads(run_command(*words, f"embedding_size == {size}").stdout)["trials"]
    assert found == [row for row in every if row["params.embedding_size"] == size]
    assert json.loads(run_command(*words, "MAE < 0").stdout)["trials"] == []
    with pytest.raises(UsageError, match="name the run"):
        run_command("status", "--where", "RMSE < 1")
