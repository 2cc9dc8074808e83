"""A model outside the store: pipeline JSON beside safetensors, readable without recsearch.

::

    DIR/
      pipeline.json        LensKit pipeline configuration
      model.safetensors    all numeric arrays, named <part>.<tensor>
      model.json           class, configuration, vocabulary of strings, values, metrics
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from recsearch.errors import RecsearchError
from recsearch.files import write_atomic
from recsearch.loading import Loaded
from recsearch.models import Model, resolve
from recsearch.state import Part, State

FORMAT = 1


def is_export(folder: Path) -> bool:
    """Whether `export` wrote this folder."""
    return (folder / "model.json").is_file() and (folder / "model.safetensors").is_file()


def export(loaded: Loaded, folder: Path) -> list[Path]:
    """Write the model into an empty or new folder and return the files.

    Raises:
        RecsearchError: the folder is not empty, or cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise RecsearchError(
            f"{folder}: not empty; nothing was written.", hint="Name a new folder after --out."
        )
    try:
        return _write(loaded, folder)
    except OSError as err:
        raise RecsearchError(
            f"{folder}: cannot write the model: {err}.", hint="Name another folder after --out."
        ) from err


def _write(loaded: Loaded, folder: Path) -> list[Path]:
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    tensors, strings = _flatten(loaded.state)
    (folder / "model.safetensors").write_bytes(save(tensors))
    write_atomic(folder / "pipeline.json", json.loads(loaded.pipeline().config.model_dump_json()))
    write_atomic(
        folder / "model.json",
        {
            "format": FORMAT,
            "model": loaded.family.class_path,
            "config": loaded.trial.config,
            "run": loaded.view.name,
            "trial": loaded.trial.number,
            "epoch": loaded.row.epoch,
            **({"fold": loaded.fold} if loaded.row.folds else {}),
            "metrics": loaded.metrics,
            "strings": strings,
            "values": {name: dict(part.values) for name, part in loaded.state.items()},
        },
    )
    return sorted(folder.iterdir())


def load_export(folder: Path) -> Model:
    """Read back what `export` wrote.

    Raises:
        RecsearchError: a file is damaged or of another format.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "model.safetensors")
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}, this recsearch reads {FORMAT}")
        state = _nest(tensors, about)
        return resolve(about["model"]).load(about["config"], state)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as err:
        raise RecsearchError(
            f"{folder}: not a readable exported model: {err}.",
            hint="Write it again: recsearch load RUN --out DIR",
        ) from err


def _flatten(state: State) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    tensors: dict[str, np.ndarray] = {}
    strings: dict[str, list[str]] = {}
    for part_name, part in state.items():
        for name, array in part.tensors.items():
            if array.dtype.kind == "U":
                strings[f"{part_name}.{name}"] = array.tolist()
            else:
                tensors[f"{part_name}.{name}"] = np.ascontiguousarray(array)
    return tensors, strings


def _nest(tensors: dict[str, np.ndarray], about: dict[str, Any]) -> State:
    parts: dict[str, dict[str, np.ndarray]] = {name: {} for name in about["values"]}
    arrays = {**tensors, **{k: np.array(v, dtype=np.str_) for k, v in about["strings"].items()}}
    for full, array in arrays.items():
        part, _, name = full.partition(".")
        parts[part][name] = array
    return {name: Part(found, about["values"][name]) for name, found in parts.items()}
