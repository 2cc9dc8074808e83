"""`recsearch final`: what is measured, on which parts, and when test data is read."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from final_tools import copy, document, outcome, request, searched, told_of, trained

import recsearch.data
from recsearch.errors import RecsearchError, RunLockedError, UsageError
from recsearch.final import phases
from recsearch.final.outcome import Spread, read_final
from recsearch.final.plan import parts_to_test
from recsearch.final.work import run_final
from recsearch.identity import derive_seed
from recsearch.loading import split_of
from recsearch.measuring import measure
from recsearch.models import resolve
from recsearch.run import RunView, locked
from recsearch.run_paths import RunPaths
from recsearch.store import Store


def by_hand(view: RunView, config: dict, epochs: int, part: int, seed: int) -> dict[str, float]:
    """The metrics of a model that is trained and measured without any of recsearch.final."""
    family, split = resolve("noisy:Noisy"), split_of(view.identity, part)
    model = family.create(config, split, derive_seed(seed, "init"))
    for _ in range(epochs):
        model.train_epoch()
    return measure(model, family, split, tuple(view.identity["metrics"]))


def test_best_and_default_are_retrained_on_each_part_with_each_seed(
    noisy_run: RunView, tmp_path: Path
) -> None:
    root = copy(noisy_run, tmp_path / "a")
    final = run_final(request(root, parts=(3, 1), seeds=(7, 42)))
    found = document(root)["results"]
    assert list(found) == ["best", "default", "bias", "popular"]
    trial, row = noisy_run.best()
    assert (found["best"]["trial"], found["best"]["epochs"]) == (trial.number, row.epoch)
    assert found["default"]["trial"] == 1 != trial.number
    for name, chosen in (("best", trial), ("default", noisy_run.trial(1))):
        epochs = noisy_run.trial_best(chosen).epoch
        models = found[name]["models"]
        assert [(m["part"], m["seed"]) for m in models] == [(1, 7), (1, 42), (3, 7), (3, 42)]
        for model in models:
            want = by_hand(noisy_run, chosen.config, epochs, model["part"], model["seed"])
            assert model["metrics"] == want
        values = np.array([m["metrics"]["RMSE"] for m in models]).reshape(2, 2)
        assert len(set(values.ravel())) == 4, "every part and seed has its own model"
        spread = final.spread(name, "RMSE")
        assert spread.mean == pytest.approx(values.mean())
        assert spread.std_parts == pytest.approx(values.mean(axis=1).std(ddof=1))
        assert spread.std_seeds == pytest.approx(values.mean(axis=0).std(ddof=1))
    assert final.gain("default") == pytest.approx(
        final.spread("default", "RMSE").mean - final.spread("best", "RMSE").mean
    )
    assert final.gain("popular") is None, "popularity predicts no ratings"
    assert read_final(root) == final


def test_files_hold_every_model_and_user(noisy_run: RunView, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    root = copy(noisy_run, tmp_path / "a")
    final = run_final(request(root, parts=(1, 2)))
    users = pq.read_table(root / "final" / "per-user.parquet").to_pandas()
    assert list(users.columns[:4]) == ["config", "part", "seed", "user_id"]
    for model in document(root)["results"]["best"]["models"]:
        own = users[(users["config"] == "best") & (users["part"] == model["part"])]
        split = split_of(noisy_run.identity, model["part"])
        assert own["user_id"].tolist() == split.user_ids[split.eval_users].tolist()
        assert model["split_id"] == split.split_id
        assert own["RMSE"].mean() == pytest.approx(model["metrics"]["RMSE"])
    rows = list(csv.DictReader((root / "final" / "results.csv").read_text().splitlines()))
    best = [float(r["value"]) for r in rows if (r["config"], r["metric"]) == ("best", "RMSE")]
    assert np.mean(best) == pytest.approx(final.spread("best", "RMSE").mean)
    (unit, *_) = sorted((root / "final" / "units").iterdir())
    predicted = pq.read_table(unit / "predictions.parquet").to_pandas()
    error = (predicted["rating"] - predicted["prediction"]) ** 2
    by_user = np.sqrt(error.groupby(predicted["user_id"]).mean())
    assert by_user.mean() == pytest.approx(
        pq.read_table(unit / "per-user.parquet").to_pandas()["RMSE"].mean(), abs=1e-6
    )


def test_without_parts_all_parts_but_the_searched_one_are_measured(noisy_run: RunView) -> None:
    assert parts_to_test(noisy_run.identity) == [1, 2, 3, 4]
    folded = {**noisy_run.identity, "validation": {"folds": 3, "split_ids": ["a", "b", "c"]}}
    assert parts_to_test(folded) == [3, 4]
    with pytest.raises(UsageError, match=r"--parts 2: is no test part.*the search saw 0, 1, 2"):
        parts_to_test(folded, [2])
    with pytest.raises(UsageError, match="validated on all 5 parts"):
        parts_to_test({**noisy_run.identity, "validation": {"folds": 5}})


def test_a_best_that_is_the_default_is_trained_once(tmp_path: Path, log: Path) -> None:
    view = searched(tmp_path / "one", trials=1)
    log.write_text("")
    final = run_final(request(view.path))
    assert set(trained(log).values()) == {1}
    assert len(list((view.path / "final" / "units").iterdir())) == 1
    results = final.document["results"]
    assert results["best"]["models"] == results["default"]["models"]
    assert final.gain("default") == 0
    assert {e["config"] for e in told_of(view.path) if e["phase"] == "fit"} == {"best"}


def test_one_configuration_for_two_numbers_of_epochs_is_trained_on(
    noisy_run: RunView, tmp_path: Path, log: Path
) -> None:
    """Equal keys: the longer one goes on from the shorter, and each keeps its own last epoch."""
    from dataclasses import replace

    from recsearch.final import work

    root = copy(noisy_run, tmp_path / "a")
    (long, *_) = work._units(RunView.open(root), request(root, configs=("best",)))
    short = replace(long, candidate=replace(long.candidate, epochs=long.candidate.epochs - 1))
    work._work([long, short], lambda *told, **more: None, 2, lambda unit, phase, seconds: None)
    assert set(trained(log).values()) == {1}
    assert len(trained(log)) == long.candidate.epochs
    with Store.open(long.store_url) as store:
        assert store.epochs(long.key) == [short.candidate.epochs, long.candidate.epochs]
    want = by_hand(noisy_run, dict(long.candidate.config), short.candidate.epochs, 1, long.seed)
    found = phases.read_result(short)
    assert found is not None
    assert found["metrics"] == want


def test_b9_the_search_reads_its_own_part_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OmniRec's grid is compared on test data: B9 of the seed systems."""
    parts: list[int] = []
    load = recsearch.data.load_split

    def spy(ratings, spec=None, part=0):
        parts.append(part)
        return load(ratings, spec, part)

    monkeypatch.setattr("recsearch.data.load_split", spy)
    monkeypatch.setattr("recsearch.request.load_split", spy)
    view = searched(tmp_path / "s")
    assert parts
    assert set(parts) == {0}
    assert told_of(view.path) == []


def test_b9_the_journal_tells_before_test_data_is_read(
    noisy_run: RunView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy(noisy_run, tmp_path / "a")
    load, untold, read = recsearch.data.load_split, [], []

    def spy(ratings, spec=None, part=0):
        read.append(part)
        if part and part not in {event["part"] for event in told_of(root)}:
            untold.append(part)
        return load(ratings, spec, part)

    monkeypatch.setattr("recsearch.data.load_split", spy)
    run_final(request(root, parts=(1, 2)))
    assert {1, 2} <= set(read)
    assert untold == []
    events = told_of(root)
    best = [e["phase"] for e in events if (e["config"], e["part"]) == ("best", 1)]
    assert best == ["fit", "predict", "eval", "done"]
    assert {e["config"] for e in events} == {"best", "default", "bias", "popular"}
    assert {e["command"] for e in events} == {"recsearch final"}
    assert RunView.open(root).record.tests == events
    before = outcome(root)
    read.clear()
    phases._cached_split.cache_clear()
    for parts in ((1, 2), (2,), (1, 2)):
        run_final(request(root, parts=parts))
    assert read == [], "nothing is left, so no test data is read"
    assert told_of(root) == events
    assert outcome(root) == before


def test_a_model_that_fails_on_one_part_stops_no_other(tmp_path: Path) -> None:
    view = searched(tmp_path / "run", fail_on_part=2)
    with pytest.raises(RecsearchError, match="2 of 4 models failed") as caught:
        run_final(request(view.path, parts=(1, 2)))
    assert "best, part 2, seed" in caught.value.message
    assert "ValueError: planted failure" in caught.value.message
    assert not (view.path / "final" / "final.json").exists()
    assert sum(event["phase"] == "error" for event in told_of(view.path)) == 2
    assert run_final(request(view.path, parts=(1,))).document["parts"] == [1]


def test_files_that_are_lost_or_damaged_are_written_anew(
    noisy_run: RunView, tmp_path: Path, log: Path
) -> None:
    root = copy(noisy_run, tmp_path / "a")
    run_final(request(root, configs=("best",)))
    whole, once = outcome(root), trained(log)
    (unit,) = (root / "final" / "units").iterdir()
    for name in ("lists.parquet", "predictions.parquet", "per-user.parquet"):
        (unit / name).unlink()
        run_final(request(root, configs=("best",)))
        assert outcome(root) == whole, name
        (unit / name).write_bytes(whole[str((unit / name).relative_to(root / "final"))][:200])
        run_final(request(root, configs=("best",)))
        assert outcome(root) == whole, name
    assert trained(log) == once


def test_users_of_several_parts_and_seeds_are_one_pair_each(
    noisy_run: RunView, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    from recsearch.samples import final_sample

    root = copy(noisy_run, tmp_path / "a")
    final = run_final(request(root, parts=(1, 2), seeds=(1, 2, 3), configs=("best",)))
    path = root / "final" / "per-user.parquet"
    table = pq.read_table(path).to_pandas()
    assert "RMSE-pooled" not in table and "RMSE" in table
    # As with a split of records: the users of part 1 are in part 2, too.
    part = table[table["part"] == 1]
    other = part.assign(part=2, RMSE=part["RMSE"] + 1)
    pd.concat([part, other]).to_parquet(path)
    sample = final_sample(root)
    assert sample.users.tolist() == sorted(set(part["user_id"]))
    means = part.groupby("user_id")["RMSE"].mean() + 0.5
    np.testing.assert_allclose(sample.values["RMSE"], means.to_numpy())
    spread = final.spread("best", "RMSE").std_seeds
    assert spread is not None
    assert sample.seed_std["RMSE"] == pytest.approx(spread / np.sqrt(3))


def test_a_model_that_diverges_is_not_measured_as_the_bias_model(tmp_path: Path) -> None:
    view = searched(tmp_path / "run", diverge_at=1)
    with pytest.raises(RecsearchError, match="left of the model is not finite after epoch 1"):
        run_final(request(view.path))
    assert not (view.path / "final" / "final.json").exists()


def test_a_run_at_work_without_a_result_or_absent_is_refused(
    noisy_run: RunView, tmp_path: Path
) -> None:
    root = copy(noisy_run, tmp_path / "a")
    with locked(RunPaths(root)), pytest.raises(RunLockedError):
        run_final(request(root))
    journal = root / "journal.ndjson"
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    with pytest.raises(UsageError, match="no epoch has finished"):
        run_final(request(root))
    with pytest.raises(UsageError, match="no run here"):
        run_final(request(tmp_path / "absent"))
    assert not (tmp_path / "absent").exists()


def test_unreadable_results_name_the_command_that_writes_them_anew(
    noisy_run: RunView, tmp_path: Path
) -> None:
    root = copy(noisy_run, tmp_path / "a")
    run_final(request(root))
    whole = outcome(root)
    (root / "final" / "final.json").write_text("{}")
    with pytest.raises(RecsearchError, match="not readable results") as caught:
        read_final(root)
    assert caught.value.hint is not None
    assert f"recsearch final {root}" in caught.value.hint
    run_final(request(root))
    assert outcome(root) == whole


def test_spread_of_one_model_has_no_deviation() -> None:
    from recsearch.final.results import _spread

    rows = [{"part": 1, "seed": 1, "metrics": {"RMSE": 0.5, "MAE": None}}]
    assert _spread(rows, "RMSE") == Spread(0.5, None, None, 1)
    assert _spread(rows, "MAE") == Spread(None, None, None, 1)
