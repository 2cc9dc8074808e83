"""What of a PyTorch object is saved and how it is put back: optimizers by names of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recsearch.errors import UsageError, VerificationError
from recsearch.state import Json
from recsearch.store.codec import parse_dtype
from recsearch.store.manifest import TensorEntry

_STATES = (("state_dict", "load_state_dict"), ("getstate", "setstate"), ("get_state", "set_state"))

Names = Mapping[int, str]
"""The ``id`` of a parameter to its name."""


def get_state(each: Any, names: Names, where: str) -> Any:
    """The state of an object, as something nested.

    Raises:
        UsageError: it has none.
    """
    import torch

    if isinstance(each, torch.optim.Optimizer):
        return _get_optimizer(each, names)
    if isinstance(each, list | tuple):
        return {"each": [get_state(item, names, where) for item in each]}
    if isinstance(each, np.random.Generator):
        return dict(each.bit_generator.state)
    for get, put in _STATES:
        if hasattr(each, get) and hasattr(each, put):
            state = getattr(each, get)()
            return state if get == "state_dict" else {"state": state}
    raise UsageError(f"{where} is a {type(each).__name__}, which has no state that can be saved")


def set_state(each: Any, names: Names, state: Any) -> None:
    """The inverse of :func:`get_state`."""
    import torch

    if isinstance(each, torch.optim.Optimizer):
        _set_optimizer(each, names, state)
    elif isinstance(each, list | tuple):
        for item, its in zip(each, state["each"], strict=True):
            set_state(item, names, its)
    elif isinstance(each, np.random.Generator):
        each.bit_generator.state = state
    elif isinstance(each, torch.nn.Module):
        own = each.state_dict()  # carries the versions of its layers
        own.update(state)
        each.load_state_dict(own)
    elif hasattr(each, "load_state_dict"):
        each.load_state_dict(state)
    else:
        put = next(put for get, put in _STATES if hasattr(each, get) and hasattr(each, put))
        getattr(each, put)(state["state"])


def check_state(each: Any, names: Names, tree: Json, where: str) -> None:
    """See that a saved state is one of such an object, before anything is changed.

    Args:
        each: The object.
        names: Names of parameters.
        tree: What of the state is JSON.
        where: What to call it.

    Raises:
        VerificationError: it is that of another class, of other parameters, or of fewer objects.
    """
    import torch

    if isinstance(each, list | tuple):
        saved = tree.get("each", [])
        if len(saved) != len(each):
            raise VerificationError(f"{where}: {len(saved)} are stored, {len(each)} to be restored")
        for number, (item, its) in enumerate(zip(each, saved, strict=True)):
            check_state(item, names, its, f"{where}[{number}]")
    if not isinstance(each, torch.optim.Optimizer):
        return
    stored, wanted = tree.get("class"), type(each).__name__
    if stored != wanted:
        raise VerificationError(
            f"{where}: the state of {stored} is stored, {wanted} is to be restored",
            hint="To begin with the parameters and a fresh optimizer, use warm_start.",
        )
    groups = [set(group["params"]) for group in tree["param_groups"]]
    own = [{names.get(id(p), "") for p in group["params"]} for group in each.param_groups]
    if groups != own:
        listed = sorted(set().union(*groups) ^ set().union(*own)) or "in other groups"
        raise VerificationError(
            f"{where}: its parameters are not the stored ones; they differ in {listed}"
        )


def targets(
    stored: Mapping[str, TensorEntry], own: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The memory to restore arrays into: that of the objects where it is fit for that."""
    found = {}
    for name, entry in stored.items():
        dtype, array = parse_dtype(entry.dtype), own.get(name)
        fits = (
            array is not None
            and (array.shape, array.dtype) == (entry.shape, dtype)
            and array.flags.c_contiguous
            and array.flags.writeable
        )
        found[name] = array if fits and array is not None else np.empty(entry.shape, dtype)
    return found


def name_parameters(objects: Mapping[str, Any]) -> dict[str, tuple[str, str, Any]]:
    """All parameters by name, with the module that each is of and its name there.

    Those of the module ``model`` have the names that it gives them, those of another one begin with
    that one's name. Parameters that only an optimizer knows are numbered.
    """
    import torch

    found: dict[str, tuple[str, str, Any]] = {}
    for part, each in objects.items():
        if isinstance(each, torch.nn.Module):
            for name, parameter in each.named_parameters():
                found[name if part == "model" else f"{part}.{name}"] = (part, name, parameter)
    known = {id(parameter) for _, _, parameter in found.values()}
    for part, each in objects.items():
        for number, optimizer in enumerate(each if isinstance(each, list | tuple) else [each]):
            if isinstance(optimizer, torch.optim.Optimizer):
                for at, parameter in enumerate(_parameters(optimizer)):
                    if id(parameter) not in known:
                        found[f"{part}[{number}]#{at}"] = ("", "", parameter)
    return found


def _get_optimizer(optimizer: Any, names: Names) -> Any:
    state = optimizer.state_dict()
    order = [names[id(parameter)] for parameter in _parameters(optimizer)]
    groups = state["param_groups"]
    return {
        **state,
        "class": type(optimizer).__name__,
        "state": {order[k] if type(k) is int else k: v for k, v in state["state"].items()},
        "param_groups": [{**g, "params": [order[i] for i in g["params"]]} for g in groups],
    }


def _set_optimizer(optimizer: Any, names: Names, state: Any) -> None:
    parameters = _parameters(optimizer)
    place = {names[id(parameter)]: i for i, parameter in enumerate(parameters)}
    own = optimizer.state_dict()["param_groups"]
    pairs = zip(state["param_groups"], own, strict=True)
    packed = {
        **state,
        "state": {place.get(name, name): value for name, value in state["state"].items()},
        "param_groups": [{**saved, "params": group["params"]} for saved, group in pairs],
    }
    del packed["class"]
    optimizer.load_state_dict(packed)
    for name, fields in state["state"].items():
        now = optimizer.state[parameters[place[name]]] if name in place else {}
        for field, value in fields.items() if now else ():
            # It casts to the dtype of the parameter, which loses bits of wider state.
            if getattr(value, "dtype", None) != getattr(now[field], "dtype", None):
                now[field] = value.to(now[field].device)


def _parameters(optimizer: Any) -> list[Any]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
