"""``[data]``: from file and command line into the request, the run's identity, and back."""

from __future__ import annotations

import dataclasses

import pytest

from recsearch.data import SplitSpec, load_dataset, load_split
from recsearch.errors import SpecError
from recsearch.loading import ratings_of, split_of
from recsearch.request import Request, request_of_run, resolve_request
from recsearch.spec import load_search
from recsearch.spec.search import SearchSpec

PREPARED = {"data.prepare": [{"implicit": 4}, {"core": 6}], "data.duplicates": "last"}
TIME = {"data.split.method": "global-time"}


def resolved(tmp_path, **overrides):
    spec = load_search("als-implicit", overrides=overrides)
    return resolve_request(Request(spec, "demo", tmp_path / "run", str(tmp_path / "store")))


def test_without_data_nothing_is_recorded_that_was_not(tmp_path):
    found = resolved(tmp_path)
    assert "data" not in found.identity["search"]
    assert not {"prepare", "reading"} & set(found.identity["dataset"])
    assert set(found.identity["split"]) == {
        "split_id", "method", "folds", "holdout", "seed", "part", "eval_users", "heldout_ratings",
        "train_ratings",
    }  # fmt: skip
    assert found.split.split_id == load_split(load_dataset("demo")).split_id


ISOLATED = {"data.split.isolate": True, "data.split.seed": 3}


@pytest.mark.parametrize("overrides", [{}, PREPARED, TIME, PREPARED | TIME, ISOLATED])
def test_identity_gives_data_and_split_again(tmp_path, overrides):
    found = resolved(tmp_path, **overrides)
    identity = found.identity
    assert split_of(identity).split_id == found.split.split_id
    assert split_of(identity, 1).split_id != found.split.split_id
    assert ratings_of(identity).dataset_id == identity["dataset"]["dataset_id"]
    assert identity["dataset"]["ratings"] == len(ratings_of(identity).values)
    again = request_of_run(
        tmp_path / "run", identity, quota=None, workers=1, retry_errors=False, command=""
    )
    assert resolve_request(again).identity["split"] == identity["split"]
    assert resolve_request(again).identity["dataset"] == identity["dataset"]


def test_steps_are_in_the_identity(tmp_path):
    dataset = resolved(tmp_path, **PREPARED).identity["dataset"]
    assert dataset["prepare"] == [{"implicit": {"at_least": 4}}, {"core": {"users": 6, "items": 6}}]
    assert dataset["reading"] == {"duplicates": "last"}
    assert dataset["name"] == "demo"
    assert "prepared: implicit" in dataset["title"]


def test_other_steps_are_another_run_even_where_they_change_nothing(tmp_path):
    from recsearch.run import IDENTITY_FIELDS

    one = resolved(tmp_path, **{"data.prepare": [{"rating": {"min": 1}}]}).identity
    two = resolved(tmp_path, **{"data.prepare": [{"rating": {"max": 5}}]}).identity
    assert one["dataset"]["dataset_id"] == two["dataset"]["dataset_id"]
    assert one["dataset"]["prepare"] != two["dataset"]["prepare"]
    assert "dataset.prepare" in IDENTITY_FIELDS


def test_the_file_decides_unless_the_request_does(tmp_path):
    spec = load_search("als", overrides=TIME)
    request = Request(spec, "demo", tmp_path, "store")
    assert request.split.method == "global-time"
    other = dataclasses.replace(request, split=SplitSpec(folds=3))
    assert other.split.folds == 3


def test_resolved_searches_come_back():
    spec = load_search("als", overrides=PREPARED | TIME)
    assert SearchSpec.from_resolved(spec.resolved()).data == spec.data
    assert spec.resolved()["data"]["split"] == {"method": "global-time"}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("data.prepar", [], "data.prepar: is no key.*did you mean prepare"),
        ("data.prepare", [{"cor": 5}], "data.prepare: there is no step 'cor'"),
        ("data.prepare", {"core": 5}, "data.prepare: .*does not fit"),
        ("data.split.fold", 5, "data.split.fold: is no key.*did you mean folds"),
        ("data.split.method", "temporal", "data.split.method: \"temporal\" does not fit"),
        ("data.split.cuts", [0.5, 0.6], "data.split: cuts plays no part"),
        ("data.duplicates", "newest", "data.duplicates: \"newest\" does not fit"),
        ("data.split", 5, "data.split: 5 is not a table"),
    ],
)  # fmt: skip
def test_wrong_keys_are_named(key, value, words):
    with pytest.raises(SpecError, match=words):
        load_search("als", overrides={key: value})
