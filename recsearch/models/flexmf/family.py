"""Configuration schema and factories of ``flexmf-explicit`` and ``flexmf-implicit``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from recsearch.errors import UsageError
from recsearch.models.config import complete_config, is_complete
from recsearch.models.flexmf.defects import bias_warning, warp_warning
from recsearch.models.flexmf.model import FlexMF, Kind
from recsearch.models.flexmf.work import flexmf_work
from recsearch.models.protocol import Family, Work
from recsearch.state import State

if TYPE_CHECKING:
    import numpy as np

    from recsearch.data import Split

BASE_FIELDS = frozenset(
    {"embedding_size", "batch_size", "learning_rate", "regularization", "reg_method"}
)
IMPLICIT_FIELDS = BASE_FIELDS | {
    "preset",
    "loss",
    "negative_strategy",
    "negative_count",
    "positive_weight",
    "user_bias",
    "item_bias",
    "convolution_layers",
}


class FlexMFFamily(Family):
    """What both families share."""

    iterative = True
    code_version = 1
    usual_epochs = 20
    continue_parts = ("model", "optimizer", "rng", "trainer")
    libraries = ("lenskit", "numpy", "torch")
    kind: ClassVar[Kind]
    fields: ClassVar[frozenset[str]]

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of LensKit's configuration class without epochs; see `Family.complete`."""
        from lenskit import flexmf

        completed = complete_config(
            getattr(flexmf, self.kind.scorer.replace("Scorer", "Config")),
            config,
            self.name,
            pairs={},
            aliases={"embedding_size": ("features", "embedding_size_exp")},
        )
        self._need(completed, "learning_rate", completed["learning_rate"] > 0, "above 0")
        self._need(completed, "regularization", completed["regularization"] >= 0, "of at least 0")
        self._need(completed, "batch_size", completed["batch_size"] >= 1, "of at least 1")
        return completed

    def create(
        self, config: Mapping[str, Any], split: Split, seed: int | np.random.SeedSequence
    ) -> FlexMF:
        """An untrained model; see `Family.create`."""
        return FlexMF.create(self.kind, self._ready(config), split, seed)

    def load(self, config: Mapping[str, Any], state: State) -> FlexMF:
        """A model for scoring; see `Family.load`."""
        return FlexMF.load(self.kind, self._ready(config), state)

    def prepare(self) -> None:
        """Import and compile what training needs; see `Family.prepare`."""
        import lenskit.flexmf  # noqa: F401

        import recsearch.models.flexmf.kernels  # noqa: F401

    def model_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """Parameters and the two moments of each; see `Family.model_bytes`.

        With convolution layers also the vectors that they end in; for ratings the biases.
        """
        vectors = 4 * (split.n_users + split.n_items) * int(config["embedding_size"])
        biases = 4 * split.n_users * self.kind.user_bias(config)
        biases += 4 * split.n_items * self.kind.item_bias(config)
        total = 3 * (vectors + biases)
        if self.kind.layers(config):
            total += vectors
        if self.kind.predicts_ratings:
            total += 4 * (split.n_users + split.n_items) + 16
        return total

    def work(self, config: Mapping[str, Any], split: Split) -> Work:
        """Gradients of all samples and the optimizer's steps; see `Family.work`."""
        return flexmf_work(config, split, self.model_bytes(config, split))

    def _ready(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return config if is_complete(config, self.fields, frozenset()) else self.complete(config)

    def _need(self, config: Mapping[str, Any], key: str, fits: bool, wanted: str) -> None:
        if not fits or not math.isfinite(config[key]):
            raise UsageError(f"{self.name}: {key} = {config[key]!r}: expected a number {wanted}.")


class FlexMFExplicitFamily(FlexMFFamily):
    """Ratings by biases and the dot product of two vectors, fitted by least squares."""

    name = "flexmf-explicit"
    class_path = "lenskit.flexmf:FlexMFExplicitScorer"
    predicts_ratings = True
    default_metric = "RMSE"
    kind = Kind("flexmf-explicit", "FlexMFExplicitScorer", True)
    fields = BASE_FIELDS

    def warning(self, config: Mapping[str, Any]) -> str | None:
        """Biases that are not learned; see `Family.warning`."""
        return bias_warning()


class FlexMFImplicitFamily(FlexMFFamily):
    """What was rated at all, against sampled items: logistic, pairwise (BPR) or WARP loss."""

    name = "flexmf-implicit"
    class_path = "lenskit.flexmf:FlexMFImplicitScorer"
    predicts_ratings = False
    default_metric = "RBP"
    kind = Kind("flexmf-implicit", "FlexMFImplicitScorer", False)
    fields = IMPLICIT_FIELDS

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """As the base class; what LensKit decides by the loss or a preset is written out.

        Equal models then have equal configurations.
        """
        completed = super().complete(config)
        completed["preset"] = None
        if completed["user_bias"] is None:
            completed["user_bias"] = completed["loss"] == "logistic"
        if completed["negative_strategy"] is None:
            warp = completed["loss"] == "warp"
            completed["negative_strategy"] = "misranked" if warp else "uniform"
        if completed["convolution_layers"] and completed["reg_method"] != "AdamW":
            raise UsageError(
                f"{self.name}: reg_method = {completed['reg_method']!r} trains with sparse "
                "gradients, which those of convolution layers are not: LensKit fails in the "
                "first batch. Expected reg_method = 'AdamW', or convolution_layers = 0."
            )
        return completed

    def warning(self, config: Mapping[str, Any]) -> str | None:
        """Biases, and the sampler for WARP; see `Family.warning`."""
        warnings = [warp_warning()] if config["negative_strategy"] == "misranked" else []
        if config["user_bias"] or config["item_bias"]:
            warnings.append(bias_warning())
        return " ".join(filter(None, warnings)) or None
