"""LensKit pipelines around trained components, without their training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from lenskit.basic import BiasScorer, UserTrainingHistoryLookup
from lenskit.basic.bias import BiasModel, entity_damping
from lenskit.basic.candidates import TrainingItemsCandidateSelector
from lenskit.data import Dataset, DatasetBuilder, Vocabulary
from lenskit.pipeline import Component, Pipeline
from lenskit.pipeline.common import topn_builder, topn_predict_builder

from recsearch.errors import UsageError
from recsearch.models.vocabulary import EntityIds

if TYPE_CHECKING:
    from lenskit.funksvd import FunkSVDConfig

    from recsearch.data import Interactions


def topn_pipeline(
    scorer: Component[Any],
    ids: EntityIds,
    name: str,
    *,
    bias: BiasModel | None = None,
    history: Interactions | None = None,
) -> Pipeline:
    """LensKit's ``std:topn`` with a trained scorer; with ``bias`` its ``std:topn-predict``.

    The candidate selector and the history lookup of these pipelines hold training data. Here the
    selector gets the item vocabulary; the lookup gets ``history``, or else passes queries on as
    they are.

    Args:
        scorer: a trained component.
        ids: users and items in the order of their numbers.
        name: pipeline name.
        bias: bias model of the fallback predictor, for users and items that the scorer does not
            know.
        history: training interactions by user.
    """
    builder = topn_builder(name) if bias is None else topn_predict_builder(name)
    selector = TrainingItemsCandidateSelector()
    selector.items_ = item_vocabulary(ids)
    lookup = UserTrainingHistoryLookup()
    lookup.interactions = None
    if history is not None:
        interactions = _history_dataset(ids, history).interactions()
        lookup.interactions = interactions.matrix(row_entity="user", col_entity="item")
    builder.replace_component("history-lookup", lookup)
    builder.replace_component("candidate-selector", selector)
    builder.replace_component("scorer", scorer)
    if bias is not None:
        fallback = BiasScorer(damping=bias.damping)
        fallback.model_ = bias
        builder.replace_component("fallback-predictor", fallback)
    return builder.build()


def factors_pipeline(
    ids: EntityIds,
    name: str,
    users: np.ndarray,
    items: np.ndarray,
    *,
    offset: float = 0.0,
    user_bias: np.ndarray | None = None,
    item_bias: np.ndarray | None = None,
    config: FunkSVDConfig | None = None,
    history: Interactions | None = None,
) -> Pipeline:
    """A pipeline of a model of ratings whose scores are dot products and biases.

    LensKit's FunkSVD scorer has just this form. Biases predict for users and items that are not
    known; see `topn_pipeline` for the rest.

    Args:
        ids: users and items in the order of their numbers.
        name: pipeline name.
        users: (n_users, d) float32.
        items: (n_items, d) float32.
        offset: added to every score, such as the mean rating.
        user_bias: (n_users,) float32; None for none.
        item_bias: (n_items,) float32; None for none.
        config: of LensKit's scorer; by default its size alone, and biases without damping.
        history: training interactions by user.
    """
    from lenskit.funksvd import FunkSVDConfig, FunkSVDScorer

    if config is None:
        config = FunkSVDConfig(embedding_size=users.shape[1], damping={"user": 0.0, "item": 0.0})
    scorer = FunkSVDScorer(config)
    scorer.users, scorer.items = user_vocabulary(ids), item_vocabulary(ids)
    scorer.user_embeddings, scorer.item_embeddings = users, items
    none = (np.zeros(len(each), dtype=np.float32) for each in (ids.users, ids.items))
    of_users, of_items = (
        zero if given is None else given
        for zero, given in zip(none, (user_bias, item_bias), strict=True)
    )
    damping = {entity: entity_damping(config.damping, entity) for entity in ("user", "item")}
    scorer.bias = bias_model(ids, damping, float(offset), of_items, of_users)
    return topn_pipeline(scorer, ids, name, bias=scorer.bias, history=history)


def user_vocabulary(ids: EntityIds) -> Vocabulary:
    """The users as LensKit numbers them: in our order."""
    return Vocabulary(ids.users, name="user", reorder=False)


def item_vocabulary(ids: EntityIds) -> Vocabulary:
    """The items as LensKit numbers them: in our order."""
    return Vocabulary(ids.items, name="item", reorder=False)


def bias_model(
    ids: EntityIds,
    damping: dict[str, float],
    offset: float,
    item_bias: np.ndarray | None,
    user_bias: np.ndarray | None,
) -> BiasModel:
    """LensKit's bias model with these biases; None leaves an entity out."""
    return BiasModel(
        damping=damping,
        global_bias=offset,
        items=None if item_bias is None else item_vocabulary(ids),
        item_biases=item_bias,
        users=None if user_bias is None else user_vocabulary(ids),
        user_biases=user_bias,
    )


def _history_dataset(ids: EntityIds, history: Interactions) -> Dataset:
    if len(history.indptr) != len(ids.users) + 1:
        raise UsageError(
            f"the history has {len(history.indptr) - 1} users, the model {len(ids.users)}; it must "
            "be the training part of the split that the model was trained on."
        )
    builder = DatasetBuilder("history")
    builder.add_entities("user", ids.users)
    builder.add_entities("item", ids.items)
    table = pa.table(
        {
            "user_id": np.repeat(ids.users, np.diff(history.indptr)),
            "item_id": ids.items[history.items],
            "rating": history.values,
        }
    )
    builder.add_interactions(
        "rating", table, entities=["user", "item"], missing="error", default=True
    )
    return builder.build()
