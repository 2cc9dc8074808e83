"""LensKit's LightGCN on PyTorch Geometric (He et al. 2020), an optional extra.

The same model without that package, with other losses, negatives and a sound gradient, is
``flexmf-implicit`` with ``convolution_layers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from recsearch.errors import UsageError
from recsearch.models.config import complete_config
from recsearch.models.flexmf.model import FlexMF, Kind
from recsearch.models.flexmf.training import need_arrays
from recsearch.models.per_split import training_bytes, training_data
from recsearch.models.protocol import Family, Work
from recsearch.models.torch_parts import (
    array_of,
    generators_part,
    load_generators,
    load_optimizer,
    optimizer_part,
)
from recsearch.models.vocabulary import need_part
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.pipeline import Pipeline

    from recsearch.data import Interactions, Split

NAME = "lightgcn"
FLOPS_PER_EDGE = 24
"""Operations for a number of an edge in a layer, both ways, with what gathering costs."""


class LightGCNKind(Kind):
    """LensKit's ``LightGCNScorer`` in the form of the FlexMF scorers: vectors alone."""

    def component(self, config: Mapping[str, Any], epochs: int = 1) -> Any:
        """An untrained component."""
        from lenskit.graphs import LightGCNScorer

        return LightGCNScorer(**config, epochs=max(1, epochs))

    def user_bias(self, config: Mapping[str, Any]) -> bool:
        """It has none."""
        return False

    def item_bias(self, config: Mapping[str, Any]) -> bool:
        """It has none."""
        return False

    def layers(self, config: Mapping[str, Any]) -> int:
        """At least 1."""
        return int(config["layer_count"])


KIND = LightGCNKind(NAME, "LightGCNScorer", False)


class GraphTraining:
    """LensKit's trainer and everything that its next epoch depends on; as `Training` of FlexMF.

    The trainer never resets its gradient, so that every batch is stepped by the sum of all since
    the start. The gradient is part of the state therefore.
    """

    def __init__(self, scorer: Any, split: Split, seed: int | np.random.SeedSequence):
        import torch
        from lenskit.training import TrainingOptions

        self.scorer = scorer
        options = TrainingOptions(rng=seed, device="cpu")
        with torch.random.fork_rng(devices=[]):
            # PyTorch Geometric draws the initial vectors from the generator of the process.
            sequence = (
                seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
            )
            torch.manual_seed(int(sequence.generate_state(1)[0]))
            self._trainer = scorer.create_trainer(training_data(split), options)

    @property
    def epochs(self) -> int:
        """Epochs trained so far."""
        return int(self._trainer.epochs_trained)

    @property
    def parameters(self) -> dict[str, Any]:
        """Vectors of all items, then of all users."""
        return {"embeddings": self._trainer.model.embedding.weight}

    def train_epoch(self) -> dict[str, float]:
        """Train one epoch; its mean loss."""
        return {name: float(value) for name, value in self._trainer.train_epoch().items()}

    def propagated(self) -> tuple[np.ndarray, np.ndarray]:
        """User and item vectors after the layers."""
        import torch

        with torch.no_grad():
            vectors = array_of(self._trainer.model.get_embedding(self._trainer.edges))
        first = self._trainer.user_base
        return vectors[first:], vectors[:first]

    def parts(self) -> dict[str, Part]:
        """Parts ``model``, ``optimizer``, ``rng`` and ``trainer``."""
        import torch

        weight = self.parameters["embeddings"]
        optimizer = optimizer_part(self._trainer.optimizer, self.parameters)
        gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
        tensors = {**optimizer.tensors, "gradient": array_of(gradient)}
        return {
            "model": Part({"embeddings": array_of(weight)}),
            "optimizer": Part(tensors, optimizer.values),
            "rng": generators_part(self._trainer.rng, None),
            "trainer": Part({}, {"epochs": self.epochs}),
        }

    def load(self, state: State) -> None:
        """Go on from the parts of a state.

        Raises:
            UsageError: a part is missing or that of another configuration.
        """
        import torch

        weight = self.parameters["embeddings"]
        shape = tuple(weight.shape)
        vectors = need_arrays(state, {"embeddings": shape}, NAME)["embeddings"]
        gradient = need_arrays(state, {"gradient": shape}, NAME, "optimizer")["gradient"]
        load_optimizer(self._trainer.optimizer, self.parameters, state, NAME)
        load_generators(self._trainer.rng, None, state, NAME)
        with torch.no_grad():
            weight.copy_(torch.from_numpy(vectors.copy()))
        self._trainer.epochs_trained = int(need_part(state, "trainer", NAME).values["epochs"])
        weight.grad = torch.from_numpy(gradient.copy()) if self.epochs else None


class LightGCN(FlexMF):
    """Dot products of the vectors after the layers."""

    @classmethod
    def create(
        cls,
        kind: Kind,
        config: Mapping[str, Any],
        split: Split,
        seed: int | np.random.SeedSequence,
    ) -> LightGCN:
        """An untrained model; LensKit's own draws its initial vectors without the seed."""
        model = cls.untrained(kind, config, split)
        model._training = GraphTraining(kind.component(config), split, seed)
        return model

    def to_pipeline(self, history: Interactions | None = None) -> Pipeline:
        """``std:topn`` with LensKit's own scorer, on a graph without edges.

        Its vectors are those after the layers, so that nothing is left to be propagated.
        """
        import torch
        from torch_geometric.nn import LightGCN as Network

        from recsearch.models.pipelines import item_vocabulary, topn_pipeline, user_vocabulary

        scorer = self.kind.component(self.config, self.epochs)
        scorer.users, scorer.items = user_vocabulary(self.ids), item_vocabulary(self.ids)
        vectors = np.concatenate([self.factors.items, self.factors.users])
        layers = self.config["layer_count"]
        first = torch.tensor([1.0] + [0.0] * layers)
        scorer.model = Network(len(vectors), self.config["embedding_size"], layers, first)
        with torch.no_grad():
            scorer.model.embedding.weight.copy_(torch.from_numpy(vectors))
        scorer._user_base = len(self.ids.items)
        scorer._edges = torch.zeros((2, 0), dtype=torch.int64)
        scorer.model.eval()
        return topn_pipeline(scorer, self.ids, NAME, history=history)


class LightGCNFamily(Family):
    """Configuration schema and factories of ``lightgcn``."""

    name = NAME
    class_path = "lenskit.graphs:LightGCNScorer"
    predicts_ratings = False
    iterative = True
    code_version = 1
    usual_epochs = 20
    default_metric = "RBP"
    continue_parts = ("model", "optimizer", "rng", "trainer")
    libraries = ("lenskit", "numpy", "torch", "torch-geometric")

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of `lenskit.graphs.LightGCNConfig` without epochs; see `Family.complete`."""
        need_torch_geometric()
        from lenskit.graphs import LightGCNConfig

        aliases = {"embedding_size": ("features", "embedding_size_exp")}
        completed = complete_config(LightGCNConfig, config, NAME, pairs={}, aliases=aliases)
        if isinstance(completed["layer_blend"], list):
            raise UsageError(
                f"{NAME}: layer_blend = {completed['layer_blend']!r}: LensKit expects a weight for "
                "each layer and PyTorch Geometric one more, so that no list fits both; expected a "
                "number or nothing."
            )
        return completed

    def create(
        self, config: Mapping[str, Any], split: Split, seed: int | np.random.SeedSequence
    ) -> LightGCN:
        """An untrained model; see `Family.create`."""
        return LightGCN.create(KIND, self.complete(config), split, seed)

    def load(self, config: Mapping[str, Any], state: State) -> FlexMF:
        """A model for scoring; see `Family.load`."""
        return LightGCN.load(KIND, self.complete(config), state)

    def prepare(self) -> None:
        """Import what training needs; see `Family.prepare`."""
        need_torch_geometric()
        import torch_geometric.nn  # noqa: F401

    def model_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """Vectors before and after the layers, two moments and the gradient."""
        return 5 * 4 * (split.n_users + split.n_items) * int(config["embedding_size"])

    def work(self, config: Mapping[str, Any], split: Split) -> Work:
        """Every layer of every batch passes all ratings; see `Family.work`."""
        samples, size = len(split.train.items), int(config["embedding_size"])
        batches = -(-samples // int(config["batch_size"]))
        layers, edges = int(config["layer_count"]), float(samples * size)
        messages = 3 * 4 * samples * size * (layers + 1)
        return Work(
            flops=FLOPS_PER_EDGE * edges * layers * batches,
            gathered=2 * edges * layers * batches,
            peak_bytes=2 * self.model_bytes(config, split) + messages + training_bytes(split),
        )

    def warning(self, config: Mapping[str, Any]) -> str | None:
        """What is wrong with the installed trainer; see `Family.warning`."""
        from importlib.metadata import version

        return (
            f"the LightGCN of LensKit {version('lenskit')} on PyTorch Geometric has edges from "
            "users to items alone, so that its layers pass nothing on, and never resets its "
            "gradient. flexmf-implicit with convolution_layers (searches/lightgcn-bpr.toml) has "
            "neither defect."
        )


def need_torch_geometric() -> None:
    """Check that the optional package is there.

    Raises:
        UsageError: it is not installed.
    """
    try:
        found = find_spec("torch_geometric") is not None
    except ValueError:  # a module that is blocked or half imported
        found = False
    if not found:
        raise UsageError(
            f"{NAME}: LensKit's LightGCNScorer needs the package torch_geometric, which is not "
            "installed.",
            hint="Install it: pip install 'recsearch[gnn]'. Or search flexmf-implicit with "
            "convolution_layers, which needs no extra package: searches/lightgcn-bpr.toml.",
        )
