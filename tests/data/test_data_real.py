"""The published data sets, where they are on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from test_data_splits import check_against_lenskit

from recsearch.baselines import bias_scores, tune_damping
from recsearch.data import DATASETS, SplitSpec, fetch, load_dataset, load_split
from recsearch.evaluation import evaluate

CHECKOUT = Path(__file__).resolve().parents[2]
NAMED = os.environ.get("RECSEARCH_DATA", "").split(os.pathsep)
pytestmark = pytest.mark.data


@pytest.fixture
def real(monkeypatch):
    """Loads a data set from where the user keeps it."""
    folders = [str(CHECKOUT / folder) for folder in NAMED if folder]
    monkeypatch.setenv("RECSEARCH_DATA", os.pathsep.join(folders))
    monkeypatch.setattr(fetch, "PROJECT", CHECKOUT)

    def load(name):
        if fetch.locate(DATASETS[name].archive) is None:
            pytest.skip(f"{name} is not on this machine (see RECSEARCH_DATA)")
        return load_dataset(name, allow_download=False)

    return load


def test_ml1m(real):
    ratings = real("ml1m")
    assert (ratings.n_users, ratings.n_items, len(ratings.values)) == (6040, 3883, 1_000_209)
    assert len(np.unique(ratings.items)) == 3706
    assert ratings.titles[0] == "Toy Story (1995)"
    star_wars = np.searchsorted(ratings.item_ids, 260)
    assert ratings.titles[star_wars] == "Star Wars: Episode IV - A New Hope (1977)"
    assert np.all(ratings.titles != "")
    split = load_split(ratings)
    assert len(split.eval_users) == 1208
    assert len(split.heldout.items) == 6040
    assert len(split.train.items) == 994_169
    again = real("ml1m")
    assert again.dataset_id == ratings.dataset_id
    assert load_split(again).split_id == split.split_id


def test_ml100k(real):
    ratings = real("ml100k")
    assert (ratings.n_users, ratings.n_items, len(ratings.values)) == (943, 1682, 100_000)
    split = load_split(ratings)
    assert (len(split.eval_users), len(split.train.items)) == (189, 99_055)


@pytest.mark.parametrize("name", ["ml100k", "ml-latest-small"])
def test_parts_equal_lenskits(real, name):
    check_against_lenskit(real(name), SplitSpec())


def test_ml_latest_small_is_official(real):
    ratings = real("ml-latest-small")
    assert (ratings.n_users, len(ratings.values)) == (610, 100_836)
    if ratings.source.sha256 == DATASETS["ml-latest-small"].archive.sha256:
        assert ratings.source.official is True
        assert ratings.source.notes == ()


@pytest.mark.parametrize(("name", "published"), [("ml100k", 0.85128), ("ml1m", 0.88024)])
def test_the_shared_generator_draws_the_split_of_the_codex(real, name, published):
    """The RMSE of its tuned bias is published (July 2026): so these are its held-out ratings."""
    split = load_split(real(name), SplitSpec(rng="shared"))
    scores = bias_scores(split, *tune_damping(split))
    assert evaluate(scores, split, ["RMSE"])["RMSE"] == pytest.approx(published, abs=5e-5)
