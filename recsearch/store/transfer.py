"""Checkpoints as files of others: safetensors, and torch.save files that hold nothing but tensors.

Arrays are named ``part/name``. Values, info and a hash of everything are JSON text beside them, in
the metadata of a safetensors file, or as one more tensor of bytes (``__recsearch__``). torch is
imported where such a file, or a dtype that numpy lacks, comes up.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recsearch.errors import StoreDamagedError, StoreError, UsageError
from recsearch.state import Json, Part, State
from recsearch.store.codec import hash_bytes, parse_dtype
from recsearch.store.manifest import Manifest
from recsearch.store.reader import as_rows
from recsearch.store.tensors import DTYPES, to_array, to_tensor
from recsearch.store.wire import from_json, to_json

SUFFIXES = (".safetensors", ".pt", ".pth")
FOREIGN_PART = "model"
"""The part that the tensors of other programs' files become."""

_FORMAT = 1
_ABOUT = "recsearch"
_ABOUT_TENSOR = "__recsearch__"
_NUMPY = frozenset(
    ("BOOL", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "F16", "F32", "F64")
)

Flat = dict[str, tuple[np.ndarray, str | None]]
"""Name of a tensor to its array, and which torch dtype that stands for, if numpy lacks it."""


class Imported(NamedTuple):
    """What a file holds.

    Attributes:
        state: The parts.
        key: The key of the checkpoint that it was, or one derived from the content.
        epoch: Its epoch; 1 for files of other programs.
        info: What was recorded with it.
    """

    state: State
    key: str
    epoch: int
    info: dict[str, Json]


def write_file(
    path: Path, manifest: Manifest, state: State, *, plain: bool = False, force: bool = False
) -> int:
    """Write a checkpoint into a file; the suffix decides on the format.

    Args:
        path: The file.
        manifest: The checkpoint.
        state: All its parts, or some; arrays that share no memory, as restored.
        plain: Leave the name of the only part out of the names of the tensors, and all but
            tensors out of a torch.save file, as ``load_state_dict`` likes it.
        force: Replace a file that is there.

    Returns:
        The size of the file.

    Raises:
        UsageError: the file exists, or its suffix is unknown, or ``plain`` does not fit.
        StoreError: it cannot be written.
    """
    check_suffix(path)
    flat, about = _flatten(state, plain)
    about |= {
        "key": manifest.key,
        "epoch": manifest.epoch,
        "created": manifest.created,
        "info": manifest.info,
        "blake3": digest(state),
    }
    if path.suffix == ".safetensors":
        return _publish(path, force, lambda new: _write_safetensors(new, flat, about))
    if not plain:
        text = to_json(about, _ABOUT).encode()
        flat[_ABOUT_TENSOR] = np.frombuffer(bytearray(text), np.uint8), None
    elif about["text"]:
        raise UsageError(
            f"{', '.join(about['text'])} of checkpoint {manifest.where} is text, which a plain "
            "torch.save file cannot hold",
            hint="Export it as .safetensors, or the whole checkpoint.",
        )
    return _publish(path, force, lambda new: _write_torch(new, flat))


def read_file(path: Path) -> Imported:
    """Read a file that :func:`write_file` or another program wrote. Nothing is unpickled.

    Raises:
        UsageError: it cannot be read, or holds something else than tensors.
        StoreDamagedError: it is not what :func:`write_file` wrote.
    """
    check_suffix(path)
    read = _read_safetensors if path.suffix == ".safetensors" else _read_torch
    try:
        flat, text = read(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if text is None:
        dtypes = {name: dtype for name, (_, dtype) in flat.items() if dtype is not None}
        arrays = {name: array for name, (array, _) in flat.items()}
        state: State = {FOREIGN_PART: Part(arrays, {DTYPES: dtypes} if dtypes else {})}
        return Imported(state, digest(state), 1, {"imported": path.name})
    try:
        about = from_json(text)
        state = _nest(flat, about)
        if digest(state) != about["blake3"]:
            raise ValueError("its tensors do not match its hash")
        return Imported(state, about["key"], about["epoch"], about["info"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreDamagedError(
            f"{path} is damaged: {error}", hint="Export the checkpoint again."
        ) from error


def digest(state: State) -> str:
    """64 hexadecimal characters that name a state by all that is in it."""
    content = {
        part: {
            "values": dict(found.values),
            "tensors": {
                name: [a.dtype.str, list(a.shape), hash_bytes(_bytes(a)).hex()]
                for name, a in found.tensors.items()
            },
        }
        for part, found in state.items()
    }
    return hash_bytes(to_json(content, "state").encode()).hex()


def check_suffix(path: Path) -> None:
    """Refuse files of other formats.

    Raises:
        UsageError: the suffix is unknown.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")


def _bytes(array: np.ndarray) -> memoryview:
    return as_rows(np.ascontiguousarray(array)).reshape(-1).data


def _flatten(state: State, plain: bool) -> tuple[Flat, dict[str, Json]]:
    if plain and len(state) != 1:
        raise UsageError(f"plain names need a single part, not {', '.join(state) or 'none'}")
    flat: Flat = {}
    text = {}
    for part, found in state.items():
        if "/" in part:
            raise StoreError(f"part {part!r} cannot be told from the names of its arrays")
        dtypes = found.values.get(DTYPES, {})
        for name, array in found.tensors.items():
            full = name if plain else f"{part}/{name}"
            if array.dtype.kind == "U":
                text[full] = array.dtype.str
                flat[full] = np.array(array, order="C")[..., None].view("<u4"), None
            else:
                flat[full] = np.ascontiguousarray(array).reshape(array.shape), dtypes.get(name)
    values = {part: dict(found.values) for part, found in state.items()}
    return flat, {"format": _FORMAT, "plain": plain, "values": values, "text": text}


def _nest(flat: Flat, about: Mapping[str, Json]) -> State:
    if about["format"] != _FORMAT:
        raise ValueError(f"it has format {about['format']}")
    parts: dict[str, dict[str, np.ndarray]] = {part: {} for part in about["values"]}
    for full, (array, _) in flat.items():
        part, name = (next(iter(parts)), full) if about["plain"] else full.split("/", 1)
        text = about["text"].get(full)
        parts[part][name] = array.view(parse_dtype(text))[..., 0] if text else array
    return {part: Part(arrays, about["values"][part]) for part, arrays in parts.items()}


def _write_safetensors(path: Path, flat: Flat, about: Json) -> None:
    metadata = {_ABOUT: to_json(about, _ABOUT)}
    if any(dtype for _, dtype in flat.values()):
        from safetensors.torch import save_file

        save_file({name: to_tensor(*found) for name, found in flat.items()}, path, metadata)
    else:
        from safetensors.numpy import save_file

        save_file({name: array for name, (array, _) in flat.items()}, path, metadata)


def _write_torch(path: Path, flat: Flat) -> None:
    import torch

    torch.save({name: to_tensor(*found) for name, found in flat.items()}, path)


def _read_safetensors(path: Path) -> tuple[Flat, str | None]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(_ABOUT)
            names = list(file.keys())
            if all(file.get_slice(name).get_dtype() in _NUMPY for name in names):
                return {name: (file.get_tensor(name), None) for name in names}, text
        with safe_open(path, framework="pt") as file:
            return {name: to_array(file.get_tensor(name), name) for name in names}, text
    except SafetensorError as error:
        raise UsageError(f"{path}: not a readable safetensors file: {error}") from error


def _read_torch(path: Path) -> tuple[Flat, str | None]:
    import torch

    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        raise UsageError(
            f"{path}: not a file of plain tensors: {str(error).splitlines()[0]}",
            hint="Reading it would take unpickling, which runs code that is in the file. If you "
            "trust it, torch.load(..., weights_only=False) does; save its tensors anew with "
            "torch.save(model.state_dict(), ...).",
        ) from error
    if not isinstance(found, Mapping):
        raise UsageError(f"{path}: holds a {type(found).__name__}, not a mapping of tensors")
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise UsageError(
                f"{path}: {name!r} is a {type(tensor).__name__}, not a tensor",
                hint="Save its tensors alone: torch.save(model.state_dict(), ...).",
            )
    flat = {name: to_array(tensor, name) for name, tensor in found.items()}
    about = flat.pop(_ABOUT_TENSOR, None)
    return flat, None if about is None else about[0].tobytes().decode()


def _publish(path: Path, force: bool, write: Callable[[Path], None]) -> int:
    """Let a file be written beside ``path``, then give it that name."""
    exists = UsageError(f"{path} exists; it was left as it is", hint="Replace it with --force.")
    if path.exists() and not force:
        raise exists
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        new = Path(name)
        try:
            write(new)
            new.chmod(0o644)
            with new.open("rb") as file:
                os.fsync(file.fileno())
            if force:
                new.replace(path)
            else:
                os.link(new, path)
            return path.stat().st_size
        finally:
            new.unlink(missing_ok=True)
    except FileExistsError:
        raise exists from None
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
