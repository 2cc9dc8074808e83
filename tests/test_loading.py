from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from search_tools import search_without_ray

import recsearch
from recsearch.errors import CheckpointNotFoundError, RecsearchError, UsageError, VerificationError
from recsearch.export import export, is_export, load_export
from recsearch.loading import check_metrics, open_checkpoint, split_of
from recsearch.measuring import measure
from recsearch.run import RunView
from recsearch.verification import read_config, same_arrays, verify


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return search_without_ray(tmp_path_factory.mktemp("loading"))


def test_a_reloaded_checkpoint_has_the_recorded_metrics(made: RunView) -> None:
    for trial in made.trials:
        for epoch in ("best", "last"):
            loaded = open_checkpoint(made.path, trial=trial.number, epoch=epoch)
            split = split_of(made.identity)
            found = measure(loaded.model, loaded.family, split, tuple(loaded.row.metrics))
            assert check_metrics(loaded.row.metrics, found, "reloaded") == 0


def test_load_gives_a_pipeline_that_recommends_as_the_model_scores(made: RunView) -> None:
    from lenskit import predict, recommend

    pipeline = recsearch.load(made.path)
    loaded = open_checkpoint(made.path)
    ids = loaded.state["vocabulary"].tensors
    user = int(ids["user_ids"][7])
    scores = loaded.model.scores(np.array([7]))[0]
    listed = recommend(pipeline, user, n=5)
    assert listed.ids().tolist() == ids["item_ids"][np.argsort(-scores)[:5]].tolist()
    predicted = predict(pipeline, user, ids["item_ids"][:4])
    assert predicted.scores() == pytest.approx(scores[:4], abs=1e-5)


def test_the_pipeline_with_history_leaves_out_what_the_user_has(made: RunView) -> None:
    from lenskit import recommend

    split = split_of(made.identity)
    pipeline = open_checkpoint(made.path).pipeline(split.train)
    begin, end = split.train.indptr[3:5]
    has = set(split.item_ids[split.train.items[begin:end]].tolist())
    listed = recommend(pipeline, int(split.user_ids[3]), n=20).ids().tolist()
    assert len(listed) == 20
    assert not has & set(listed)


def test_an_export_loads_without_store_or_ratings(made: RunView, tmp_path: Path) -> None:
    loaded = open_checkpoint(made.path)
    names = {path.name for path in export(loaded, tmp_path / "model")}
    assert names == {"model.json", "model.safetensors", "pipeline.json"}
    assert is_export(tmp_path / "model")
    users = np.arange(5)
    again = load_export(tmp_path / "model")
    assert np.array_equal(again.scores(users), loaded.model.scores(users))
    assert recsearch.load(tmp_path / "model").config == loaded.pipeline().config
    with pytest.raises(RecsearchError, match="not empty"):
        export(loaded, tmp_path / "model")
    (tmp_path / "model" / "model.json").write_text('{"format": 1}')
    with pytest.raises(RecsearchError, match="not a readable exported model"):
        load_export(tmp_path / "model")


def test_epochs_and_trials_that_are_not_there(made: RunView) -> None:
    with pytest.raises(UsageError, match="trials 1 to 3"):
        open_checkpoint(made.path, trial=9)
    longest = max(made.trials, key=lambda trial: len(trial.epochs))
    with pytest.raises(UsageError, match=f"epochs 1 to {len(longest.epochs)}"):
        open_checkpoint(made.path, trial=longest.number, epoch=99)
    best = made.trial_best(longest)
    assert best is not None
    dropped = set(range(1, len(longest.epochs))) - {best.epoch}
    assert dropped, "best+last has dropped an epoch of the longest trial"
    with pytest.raises(CheckpointNotFoundError, match="is not in the store"):
        open_checkpoint(made.path, trial=longest.number, epoch=min(dropped))


def test_b30_verify_retrains_to_the_same_bits(made: RunView) -> None:
    document = read_config(made.path / "best-config.json")
    verified = verify(document, made.store_url)
    assert verified.difference == 0
    assert verified.bit_equal is True
    assert verify(document).bit_equal is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"metrics": {"RMSE": 0.5}}, "RMSE: recorded 0.5"),
        ({"seed": 43}, "RMSE: recorded"),
    ],
)
def test_verify_refuses_what_the_configuration_does_not_give(
    made: RunView, change: dict[str, object], named: str
) -> None:
    document = {**read_config(made.path / "best-config.json"), **change}
    with pytest.raises(VerificationError, match=named) as caught:
        verify(document)
    assert caught.value.exit_code == 3


def test_verify_refuses_other_data(made: RunView) -> None:
    document = read_config(made.path / "best-config.json")
    document["dataset"] = {**document["dataset"], "dataset_id": "0" * 64}
    with pytest.raises(VerificationError, match="another one"):
        verify(document)


def test_b11_best_config_is_the_best_epoch_of_the_journal(made: RunView) -> None:
    document = json.loads((made.path / "best-config.json").read_text())
    rows = [(row.metrics["RMSE"], row.epoch, row.trial) for t in made.trials for row in t.epochs]
    value, epoch, trial = min(rows)
    assert (document["value"], document["epochs"], document["trial"]) == (value, epoch, trial)
    assert document["metrics"]["RMSE"] == value


def test_a_run_moved_elsewhere_still_reads(made: RunView, tmp_path: Path) -> None:
    """Run and store move together: the store is recorded relative to the run."""
    shutil.copytree(made.path.parent, tmp_path / "moved")
    again = RunView.open(tmp_path / "moved" / made.path.name)
    assert again.best() is not None
    assert str(tmp_path) in again.store_url
    assert same_arrays(open_checkpoint(made.path).state, open_checkpoint(again.path).state)


def test_differences_count_in_both_kinds_of_missing() -> None:
    assert check_metrics({"RMSE": 1.0, "MAE": None}, {"RMSE": 1.0}, "x") == 0
    for recorded, found in (({"RMSE": 1.0}, {}), ({"RMSE": None}, {"RMSE": 1.0})):
        with pytest.raises(VerificationError):
            check_metrics(recorded, found, "x")


def test_models_without_ratings_have_no_rating_metrics() -> None:
    from recsearch.data import load_dataset, load_split
    from recsearch.measuring import measure_users
    from recsearch.models import resolve

    family, split = resolve("popular"), load_split(load_dataset("demo:small"))
    model = family.create(family.complete({}), split, 1)
    model.train_epoch()
    for ask in (measure, measure_users):
        with pytest.raises(UsageError, match="RMSE: popular predicts no ratings"):
            ask(model, family, split, ["NDCG@10", "RMSE"])
