"""Parts of a state that training with PyTorch goes on from: optimizer and random generators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsearch.errors import UsageError
from recsearch.models.vocabulary import frozen, need_part, need_shape
from recsearch.state import Part, State

if TYPE_CHECKING:
    import torch

OPTIMIZER = "optimizer"
RNG = "rng"
MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW and SparseAdam keep of each parameter, beside its number of steps."""


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """A read-only copy that further training does not change."""
    return frozen(tensor.detach().cpu().numpy().copy())


def fill(parameter: torch.Tensor, array: np.ndarray, name: str, family: str) -> None:
    """Put an array of a state into a parameter.

    Raises:
        UsageError: it has another shape: it is of another configuration.
    """
    import torch

    found = need_shape(array, tuple(parameter.shape), name, family)
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(found.copy()))


def optimizer_part(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, torch.nn.Parameter],
    touched: Mapping[str, np.ndarray] | None = None,
) -> Part:
    """Moments and numbers of steps of an optimizer of the Adam kind.

    A parameter that has not been stepped has moments of zero: its state looks the same before the
    first step as after it.

    Args:
        optimizer: AdamW or SparseAdam.
        parameters: its parameters by name.
        touched: rows of parameters, by name, that steps may have changed.
    """
    tensors: dict[str, np.ndarray] = {}
    steps: dict[str, int] = {}
    for name, parameter in parameters.items():
        state = optimizer.state.get(parameter, {})
        steps[name] = int(state.get("step", 0))
        for moment in MOMENTS:
            value = state.get(moment)
            shape = tuple(parameter.shape)
            empty = frozen(np.zeros(shape, dtype=np.float32))
            tensors[f"{moment}.{name}"] = empty if value is None else array_of(value)
    rows = {
        f"{moment}.{name}": rows for name, rows in (touched or {}).items() for moment in MOMENTS
    }
    return Part(tensors, {"class": type(optimizer).__name__, "steps": steps}, touched=rows)


def load_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, torch.nn.Parameter],
    state: State,
    family: str,
) -> None:
    """Put back what :func:`optimizer_part` took.

    Raises:
        UsageError: it is that of another optimizer, or of parameters of other names or shapes.
    """
    import torch

    wanted = [f"{moment}.{name}" for name in parameters for moment in MOMENTS]
    part = need_part(state, OPTIMIZER, family, wanted)
    stored, own = part.values.get("class"), type(optimizer).__name__
    if stored != own:
        raise UsageError(
            f"{family}: the checkpoint has the state of {stored}, this configuration trains with "
            f"{own}."
        )
    for name, parameter in parameters.items():
        steps = int(part.values["steps"][name])
        moments = {
            moment: torch.from_numpy(
                need_shape(
                    part.tensors[f"{moment}.{name}"],
                    tuple(parameter.shape),
                    f"{moment} of {name}",
                    family,
                ).copy()
            )
            for moment in MOMENTS
        }
        optimizer.state.pop(parameter, None)
        if steps:
            # SparseAdam counts in a Python integer, AdamW in a tensor.
            count = steps if own == "SparseAdam" else torch.tensor(float(steps))
            optimizer.state[parameter] = {"step": count, **moments}


def generators_part(numpy_rng: np.random.Generator, torch_rng: torch.Generator | None) -> Part:
    """The states of a NumPy generator (PCG64) and a PyTorch one.

    The words of PCG64 have 128 bits; they are written as text, which every reader of JSON keeps.
    """
    state: Any = numpy_rng.bit_generator.state
    words = {name: str(word) for name, word in state["state"].items()}
    tensors = {} if torch_rng is None else {"torch": frozen(torch_rng.get_state().numpy().copy())}
    return Part(tensors, {"numpy": {**state, "state": words}})


def load_generators(
    numpy_rng: np.random.Generator, torch_rng: torch.Generator | None, state: State, family: str
) -> None:
    """Put back what :func:`generators_part` took.

    Raises:
        UsageError: the part is missing, or it is that of other generators.
    """
    import torch

    part = need_part(state, RNG, family, () if torch_rng is None else ("torch",))
    saved: Any = part.values.get("numpy", {})
    own = type(numpy_rng.bit_generator).__name__
    if saved.get("bit_generator") != own:
        raise UsageError(
            f"{family}: the checkpoint has the state of a {saved.get('bit_generator')} generator, "
            f"this training draws from {own}."
        )
    words = {name: int(word) for name, word in saved["state"].items()}
    numpy_rng.bit_generator.state = {**saved, "state": words}
    if torch_rng is not None:
        torch_rng.set_state(torch.from_numpy(part.tensors["torch"].copy()))
