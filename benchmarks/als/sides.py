"""Both sides of the comparison, from the same configuration, seed and ratings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recsearch.data import Split
from recsearch.data.lenskit import dataset
from recsearch.evaluation import Scores, evaluate
from recsearch.models import Family, resolve
from recsearch.models.als.model import ALSModel

SEED = 1


@dataclass(frozen=True)
class Case:
    """One model at one size.

    Attributes:
        name: Of the family.
        size: Embedding size.
        split: The ratings.
    """

    name: str
    size: int
    split: Split

    @cached_property
    def family(self) -> Family:
        """Ours, on the CPU."""
        return resolve(self.name)

    @cached_property
    def config(self) -> dict[str, Any]:
        """LensKit's defaults; the user vectors of training score on both sides."""
        return self.family.complete({"embedding_size": self.size, "user_embeddings": "prefer"})

    def ours(self, device: str = "cpu") -> ALSModel:
        """Our model, untrained."""
        model = self.family.on(device).create(self.config, self.split, SEED)
        if not isinstance(model, ALSModel):
            raise TypeError(f"{self.name} is no ALS model")
        return model

    def lenskit(self) -> tuple[Any, Any]:
        """LensKit's scorer and its trainer."""
        from lenskit import als
        from lenskit.training import TrainingOptions

        scorer = getattr(als, self.family.class_path.rpartition(":")[2])(**self.config)
        return scorer, scorer.create_trainer(dataset(self.split), TrainingOptions(rng=SEED))

    def flexmf(self, device: str) -> Any:
        """Trainer of LensKit's stochastic factorisation of the same kind of ratings."""
        from lenskit import flexmf
        from lenskit.training import TrainingOptions

        rates = self.family.predicts_ratings
        kind = flexmf.FlexMFExplicitScorer if rates else flexmf.FlexMFImplicitScorer
        options = TrainingOptions(rng=SEED, device=device)
        return kind(embedding_size=self.size).create_trainer(dataset(self.split), options)

    def value(self, scores: Scores) -> float:
        """The family's own metric on the held-out ratings."""
        metric = self.family.default_metric
        return evaluate(scores, self.split, (metric,))[metric]


def lenskit_scores(scorer: Any) -> Scores:
    """Scores of a LensKit scorer's vectors and biases, by user and item number."""

    def scores(users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        chosen = slice(None) if items is None else items
        block: np.ndarray = scorer.user_embeddings[users] @ scorer.item_embeddings[chosen].T
        bias = getattr(scorer, "bias", None)
        if bias is not None:
            block += bias.global_bias + bias.item_biases[chosen][None, :]
            block += bias.user_biases[users, None]
        return block

    return scores
