"""LensKit's FlexMF trainer on a split, driven one epoch at a time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsearch.models.flexmf.blocks import in_blocks
from recsearch.models.flexmf.defects import biases_are_learned
from recsearch.models.flexmf.factors import PARAMETERS
from recsearch.models.flexmf.warp import spare_the_square
from recsearch.models.per_split import training_data
from recsearch.models.torch_parts import (
    array_of,
    generators_part,
    load_generators,
    load_optimizer,
    optimizer_part,
)
from recsearch.models.vocabulary import need_part, need_shape
from recsearch.state import Part, State

if TYPE_CHECKING:
    from recsearch.data import Split

NOT_COMPILED = {"LK_TORCH_COMPILE": "0"}
"""Compiling takes as long as many epochs, in every process anew, and its kernels add up in an order
of their own."""


class Training:
    """One LensKit trainer and everything that its next epoch depends on.

    LensKit's own checkpoint holds the parameters alone; optimizer, generators and the number of
    epochs begin anew when it is loaded. Here all of them are taken and put back.

    Attributes:
        scorer: the LensKit component in training.
    """

    def __init__(self, scorer: Any, split: Split, seed: int | np.random.SeedSequence, family: str):
        from lenskit.training import TrainingOptions

        self.scorer = scorer
        self._family = family
        options = TrainingOptions(rng=seed, device="cpu", environment=NOT_COMPILED)
        with warnings.catch_warnings():
            # PyTorch mentions once that it does not check the indices of sparse matrices.
            warnings.filterwarnings(
                "ignore", message="Sparse (invariant|CSR)", category=UserWarning
            )
            self._trainer = scorer.create_trainer(training_data(split), options)
        spare_the_square(self._trainer)
        blocks = in_blocks(self._trainer)
        if blocks is not None:
            self._trainer.call_model = blocks
        self._touched = self._watch_rows() if scorer.config.reg_method != "AdamW" else None

    @property
    def epochs(self) -> int:
        """Epochs trained so far."""
        return int(self._trainer.epochs_trained)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by their names in a state, without biases that are not learned."""
        named = self.scorer.model.named_parameters()
        learned = biases_are_learned()
        return {PARAMETERS[k]: value for k, value in named if learned or "bias" not in k}

    def train_epoch(self) -> dict[str, float]:
        """Train one epoch; its mean loss."""
        statistics = self._trainer.train_epoch()
        return {name: float(value) for name, value in statistics.items()}

    def propagated(self) -> tuple[np.ndarray, np.ndarray] | None:
        """User and item vectors after the convolution layers; None where there are none.

        LensKit scores with the layers of the last batch, from before its step; these are those of
        the parameters that the epoch ended with.
        """
        import torch

        module, data = self.scorer.model, self._trainer.data
        if data.ui_matrix is None:
            return None
        with torch.no_grad():
            module.update_convolution(data.ui_matrix, data.iu_matrix)
            scale = 1.0 / (module.layers + 1)
            users, items = (
                array_of(layers.sum(0) * scale) for layers in (module.u_layers, module.i_layers)
            )
        # Every batch begins by computing them; until then they would only take memory.
        module.u_layers = module.i_layers = None
        return users, items

    def parts(self) -> dict[str, Part]:
        """Parts ``model``, ``optimizer``, ``rng`` and ``trainer``."""
        parameters, touched = self.parameters, self._rows()
        shapes = _shapes(parameters)
        arrays = {name: array_of(value).reshape(shapes[name]) for name, value in parameters.items()}
        return {
            "model": Part(arrays, touched=touched),
            "optimizer": optimizer_part(self._trainer.opt, parameters, touched),
            "rng": generators_part(self._trainer.rng, self._trainer.torch_rng),
            "trainer": Part({}, {"epochs": self.epochs}),
        }

    def load(self, state: State) -> None:
        """Go on from the parts of a state.

        Raises:
            UsageError: a part is missing or that of another configuration.
        """
        import torch

        parameters = self.parameters
        arrays = need_arrays(state, _shapes(parameters), self._family)
        load_optimizer(self._trainer.opt, parameters, state, self._family)
        load_generators(self._trainer.rng, self._trainer.torch_rng, state, self._family)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(torch.from_numpy(arrays[name].copy()).reshape(parameter.shape))
        self._trainer.epochs_trained = int(
            need_part(state, "trainer", self._family).values["epochs"]
        )
        self._rows()

    def _watch_rows(self) -> dict[str, np.ndarray]:
        """Note which rows the sparse gradients of every step are about."""
        parameters = self.parameters
        masks = {name: np.zeros(len(each), dtype=bool) for name, each in parameters.items()}

        def note(*_: Any) -> None:
            for name, parameter in parameters.items():
                if parameter.grad is not None:
                    masks[name][parameter.grad._indices()[0].numpy()] = True

        self._trainer.opt.register_step_pre_hook(note)
        return masks

    def _rows(self) -> dict[str, np.ndarray]:
        """The rows stepped since this was last asked; nothing where gradients are dense."""
        rows: dict[str, np.ndarray] = {}
        for name, mask in (self._touched or {}).items():
            rows[name] = np.flatnonzero(mask)
            mask[:] = False
        return rows


def need_arrays(
    state: State, shapes: Mapping[str, tuple[int, ...]], family: str, part: str = "model"
) -> dict[str, np.ndarray]:
    """Arrays of these shapes out of a part of a state.

    Raises:
        UsageError: one is missing, or its shape differs.
    """
    found = need_part(state, part, family, tuple(shapes)).tensors
    return {name: need_shape(found[name], shape, name, family) for name, shape in shapes.items()}


def _shapes(parameters: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes in a state: biases are vectors there, and matrices of one column in LensKit."""
    return {
        name: tuple(value.shape)[:1] if name.endswith("_bias") else tuple(value.shape)
        for name, value in parameters.items()
    }
