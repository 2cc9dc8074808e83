"""States of PyTorch objects as arrays and JSON, and back, with nothing pickled.

torch is imported when a function is called, never with this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recsearch.errors import StoreError
from recsearch.state import Json, Part

DTYPES = "torch_dtypes"
"""Key of a part's values: arrays that stand for tensors of a dtype that numpy lacks, and which."""

_TREE = "tree"
_WORDS = {
    "bfloat16": "uint16",
    "float8_e4m3fn": "uint8",
    "float8_e4m3fnuz": "uint8",
    "float8_e5m2": "uint8",
    "float8_e5m2fnuz": "uint8",
    "float8_e8m0fnu": "uint8",
}
_COMPLEX = frozenset(("complex32", "complex64", "complex128"))
_TENSOR, _ARRAY, _TUPLE, _PAIRS = "(tensor)", "(array)", "(tuple)", "(pairs)"
_TAGS = frozenset((_TENSOR, _ARRAY, _TUPLE, _PAIRS))


def to_array(tensor: Any, where: str) -> tuple[np.ndarray, str | None]:
    """A tensor as an array: a view where it is in the memory of this machine, else a copy.

    Args:
        tensor: A dense ``torch.Tensor`` on any device.
        where: What to call it in messages.

    Returns:
        The array, of the tensor's shape, and None; or, for a dtype that numpy lacks, an array of
        unsigned integers (of complex numbers: of pairs of floats) and the name of the dtype.

    Raises:
        StoreError: the tensor is sparse, quantised, nested, without data or distributed.
    """
    import torch

    plain = tensor.detach()
    if (
        type(plain) is not torch.Tensor
        or plain.layout != torch.strided
        or plain.is_quantized
        or plain.is_nested
        or plain.is_meta
    ):
        raise StoreError(
            f"{where} is a {type(plain).__name__} with layout {plain.layout} on {plain.device}; "
            "a checkpoint holds dense tensors with data"
        )
    host = plain.resolve_conj().resolve_neg().cpu()
    name = str(host.dtype).removeprefix("torch.")
    if name in _COMPLEX:
        return torch.view_as_real(host).numpy(), name
    if name in _WORDS:
        return host.view(getattr(torch, _WORDS[name])).numpy(), name
    return host.numpy(), None


def to_tensor(array: np.ndarray, dtype: str | None = None) -> Any:
    """The inverse of :func:`to_array`, in the same memory.

    Raises:
        StoreError: ``dtype`` is none of those that :func:`to_array` returns.
    """
    import torch

    tensor = torch.from_numpy(array)
    if dtype is None:
        return tensor
    if dtype in _COMPLEX:
        return torch.view_as_complex(tensor)
    if dtype not in _WORDS:
        raise StoreError(f"dtype {dtype!r} is unknown")
    return tensor.view(getattr(torch, dtype))


def flatten(state: Any, where: str) -> Part:
    """A nested state as a part of a checkpoint.

    The arrays are named by their path, the keys joined by ``/`` (in a key, ``~`` is written ``~0``
    and ``/`` is ``~1``, as in JSON pointers, RFC 6901; an empty key is ``~2``).

    Args:
        state: Mappings, lists, tuples, tensors, numpy arrays and JSON values, nested.
        where: What to call it in messages.

    Raises:
        StoreError: naming the path of an object of another class.
    """
    writer = _Writer(where)
    tree = writer.encode(state, "", implied=True)
    values = {_TREE: tree} | ({DTYPES: writer.dtypes} if writer.dtypes else {})
    return Part(writer.arrays, values)


def unflatten(part: Part) -> Any:
    """The inverse of :func:`flatten`; its tensors share the memory of the arrays."""
    reader = _Reader(part.tensors, part.values.get(DTYPES, {}))
    state = reader.decode(part.values[_TREE])
    for path in part.tensors.keys() - reader.used:
        *parents, last = (unescape(key) for key in path.split("/"))
        node = state
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = reader.tensor(path)
    return state


_EMPTY = "~2"


def escape(key: str) -> str:
    """A key as one step of a path."""
    return key.replace("~", "~0").replace("/", "~1") or _EMPTY


def unescape(step: str) -> str:
    """The inverse of :func:`escape`."""
    return "" if step == _EMPTY else step.replace("~1", "/").replace("~0", "~")


@dataclass
class _Writer:
    where: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)

    def encode(self, value: Any, path: str, *, implied: bool = False) -> Json:
        """``implied``: the path alone tells where a tensor belongs."""
        import torch

        if isinstance(value, torch.Tensor):
            array, dtype = to_array(value, f"{self.where}/{path}")
            if dtype is not None:
                self.dtypes[path] = dtype
            return self._keep(_TENSOR, path, array)
        if isinstance(value, np.ndarray):
            return self._keep(_ARRAY, path, value)
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Mapping):
            return self._mapping(value, path, implied)
        if isinstance(value, list | tuple):
            items = [self.encode(item, _join(path, str(i))) for i, item in enumerate(value)]
            return {_TUPLE: items} if isinstance(value, tuple) else items
        raise StoreError(
            f"{self.where}/{path} is a {type(value).__module__}.{type(value).__qualname__}; a "
            "checkpoint holds tensors, arrays, numbers, text, and lists and mappings of these",
            hint="Nothing is pickled: leave it out, or give it a state_dict of such values.",
        )

    def _keep(self, tag: str, path: str, array: np.ndarray) -> Json:
        if path in self.arrays:
            raise StoreError(f"{self.where} has two arrays at {path!r}")
        self.arrays[path] = array
        return {tag: path}

    def _mapping(self, value: Mapping[Any, Any], path: str, implied: bool) -> Json:
        if not all(isinstance(key, str) and key not in _TAGS for key in value):
            pairs = [item for pair in value.items() for item in pair]
            flat = [self.encode(item, _join(path, str(i))) for i, item in enumerate(pairs)]
            return {_PAIRS: [list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]}
        found: dict[str, Json] = {}
        for key, item in value.items():
            below = _join(path, escape(key))
            found[key] = self.encode(item, below, implied=implied)
            if implied and found[key] == {_TENSOR: below}:
                del found[key]
        return found


@dataclass
class _Reader:
    arrays: Mapping[str, np.ndarray]
    dtypes: Mapping[str, str]
    used: set[str] = field(default_factory=set)

    def tensor(self, path: str) -> Any:
        return to_tensor(self.arrays[path], self.dtypes.get(path))

    def decode(self, value: Json) -> Any:
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        tag = next(iter(value), None)
        if tag not in _TAGS:
            return {key: self.decode(item) for key, item in value.items()}
        content = value[tag]
        if tag == _TUPLE:
            return tuple(self.decode(item) for item in content)
        if tag == _PAIRS:
            return {self.decode(key): self.decode(item) for key, item in content}
        self.used.add(content)
        return self.tensor(content) if tag == _TENSOR else self.arrays[content]


def _join(path: str, step: str) -> str:
    return f"{path}/{step}" if path else step
