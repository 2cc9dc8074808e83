"""What a trained model is worth on the held-out part of a split: means, and values by user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsearch.baselines import bias_scores
from recsearch.data import Split
from recsearch.errors import UsageError
from recsearch.evaluation import Scores, evaluate, parse, per_user
from recsearch.models import Family, Model
from recsearch.models.piped import gives_blocks, pipeline_scores


class Scoring(NamedTuple):
    """How a model is asked.

    Attributes:
        scores: blocks of its scores.
        fallback: predictions where it has none, for models of ratings.
    """

    scores: Scores
    fallback: Scores | None


def scoring(model: Model, family: Family, split: Split) -> Scoring:
    """How evaluation asks ``model``.

    Where a rating predictor has no score, LensKit's undamped bias model predicts, as in LensKit's
    own rating pipelines. A model that gives no blocks of scores is asked through its pipeline.
    """

    def bias(users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        return bias_scores(split, 0.0, 0.0)(users, items)

    scores = model.scores if gives_blocks(model) else pipeline_scores(model, split)
    return Scoring(scores, bias if family.predicts_ratings else None)


def measure(model: Model, family: Family, split: Split, metrics: Sequence[str]) -> dict[str, float]:
    """The metrics of a model on the held-out part, as every epoch records them.

    Raises:
        UsageError: an unknown metric, or one of ratings where the model predicts none.
    """
    _check(family, metrics)
    scores, fallback = scoring(model, family, split)
    return evaluate(scores, split, metrics, fallback=fallback)


def measure_users(
    model: Model, family: Family, split: Split, metrics: Sequence[str]
) -> dict[str, np.ndarray]:
    """The same by evaluation user, (n_eval,) float64 each, in the order of ``split.eval_users``."""
    _check(family, metrics)
    scores, fallback = scoring(model, family, split)
    return per_user(scores, split, metrics, fallback=fallback)


def _check(family: Family, metrics: Sequence[str]) -> None:
    """Scores of a ranking would be measured as if they were ratings."""
    asked = [name for name in metrics if parse(name).kind == "rating"]
    if asked and not family.predicts_ratings:
        raise UsageError(
            f"{', '.join(asked)}: {family.name} predicts no ratings.",
            hint="Name ranking metrics, such as NDCG@10.",
        )
