"""Model classes of a user's own that score through their LensKit pipeline alone."""

from __future__ import annotations

from typing import Any

from recsearch.models import resolve


class Blockless:
    """A model of ours behind the members of a class of one's own, without its ``scores``."""

    family: str
    iterative = True
    code_version = 1
    default_metric = "NDCG@10"

    def __init__(self, model: Any) -> None:
        self.model = model
        self.train_epoch, self.state = model.train_epoch, model.state
        self.load_state, self.to_pipeline = model.load_state, model.to_pipeline

    @classmethod
    def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
        return resolve(cls.family).complete(config)

    @classmethod
    def create(cls, config: dict[str, Any], split: Any, seed: Any) -> Blockless:
        return cls(resolve(cls.family).create(config, split, seed))

    @classmethod
    def load(cls, config: dict[str, Any], state: Any) -> Blockless:
        return cls(resolve(cls.family).load(config, state))

    def train_epoch(self) -> dict[str, float]:
        raise AssertionError("replaced by the model's own")

    state = load_state = to_pipeline = train_epoch


class BlocklessALS(Blockless):
    family = "als"
    predicts_ratings = True


class BlocklessPopular(Blockless):
    family = "popular"
    predicts_ratings = False
    iterative = False
