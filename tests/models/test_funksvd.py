"""FunkSVD: the contracts, LensKit's own numbers, and what its ``epochs`` is called here."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from contract import PipelineContract
from model_splits import make_split

from recsearch.data.lenskit import dataset
from recsearch.errors import UsageError
from recsearch.models import resolve
from recsearch.spec import check_against_model, load_search


class TestFunkSVD(PipelineContract):
    family_name = "funksvd"
    config: ClassVar = {"embedding_size": 5, "iterations": 7, "damping": {"user": 2}}
    typo = ("itrations", "iterations")


class TestFunkSVDClamped(PipelineContract):
    family_name = "lenskit.funksvd:FunkSVDScorer"
    config: ClassVar = {"features": 3, "iterations": 4, "range": [0.5, 5.0]}
    string_ids = True
    typo = ("learning_rat", "learning_rate")


def test_numbers_are_those_of_lenskits_scorer() -> None:
    from lenskit.funksvd import FunkSVDScorer
    from lenskit.training import TrainingOptions

    split, family = make_split(), resolve("funksvd")
    config = {"embedding_size": 6, "learning_rate": 0.01, "regularization": 0.03, "damping": 4.0}
    model = family.create(family.complete({**config, "iterations": 9}), split, 11)
    model.train_epoch()
    theirs = FunkSVDScorer(**config, epochs=9)
    theirs.train(dataset(split), TrainingOptions(rng=11))
    tensors = model.state()["model"].tensors
    assert np.array_equal(tensors["user_embeddings"], theirs.user_embeddings)
    assert np.array_equal(tensors["item_embeddings"], theirs.item_embeddings)
    assert np.ptp(tensors["item_embeddings"]) > 0.01, "trained, not the initial 0.1"


@pytest.mark.parametrize("iterations", [0, -3, 2.5, True, "10"])
def test_iterations_are_a_positive_integer(iterations: object) -> None:
    with pytest.raises(UsageError, match="iterations"):
        resolve("funksvd").complete({"iterations": iterations})


def test_lenskits_epochs_are_refused_with_the_name_to_use() -> None:
    with pytest.raises(UsageError, match="iterations"):
        resolve("funksvd").complete({"epochs": 30})


def test_the_search_fits_the_model() -> None:
    check_against_model(load_search("funksvd"))


@pytest.mark.parametrize("limits", [[5, 1], [3, 3]])
def test_a_range_that_is_none_is_refused(limits: list[int]) -> None:
    with pytest.raises(UsageError, match="expected the lower limit first"):
        resolve("funksvd").complete({"range": limits})
