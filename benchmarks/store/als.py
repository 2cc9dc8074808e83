"""The states of a real ALS trial: every row of both matrices changes in every epoch."""

from __future__ import annotations

import json
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.store.trace import Tables, Touched, Trace
from recsearch.data import Split, load_dataset, load_split
from recsearch.errors import DataNotFoundError
from recsearch.identity import digest
from recsearch.models import Family, Model, resolve

EPOCHS = 12
DATA = "ml1m"
STAND_IN = "demo:ml1m"
SEED = 1


class AlsTrace(Trace):
    """Epochs of one trial, read from the files that :func:`als_trace` has made.

    Attributes:
        size: Length of the vectors.
        config: The trial's configuration.
    """

    def __init__(self, folder: Path):
        about = json.loads((folder / "trace.json").read_text())
        self.size, self.epoch_s = about["size"], about["epoch_s"]
        self.note, self.config = about["note"], about["config"]
        self.name = f"ALS {about['data']} d={self.size}"
        self.versions, self.share = about["epochs"], 1.0
        self.constant = frozenset(about["constant"])
        self._names: list[str] = about["names"]
        self._folder = folder

    def empty(self) -> Tables:
        """See :meth:`Trace.empty`."""
        return {name: np.empty_like(self._read(0, name)) for name in self._names}

    def start(self, live: Tables) -> None:
        """See :meth:`Trace.start`; version 0 is the state after the first epoch."""
        for name in self._names:
            live[name][...] = self._read(0, name)

    def step(self, version: int, live: Tables) -> Touched:
        """See :meth:`Trace.step`."""
        changing = [name for name in self._names if name not in self.constant]
        for name in changing:
            live[name][...] = self._read(version, name)
        return {name: np.arange(len(live[name])) for name in changing}

    def _read(self, version: int, name: str) -> np.ndarray:
        number = 0 if name in self.constant else version
        array: np.ndarray = np.load(self._folder / file_name(number, name), mmap_mode="r")
        return array


def als_trace(size: int, epochs: int = EPOCHS, cache: Path | None = None) -> AlsTrace:
    """Train an ALS trial once and keep its states under the temporary folder for later runs.

    Where MovieLens 1M is not on this machine, generated ratings stand in; the trace says so.

    Args:
        size: Length of the vectors.
        epochs: How many.
        cache: Where the states are kept instead.
    """
    split, note = ratings()
    config = configuration(size)
    about = {"size": size, "data": split.source.name, "epochs": epochs, "config": config,
             "note": note}  # fmt: skip
    versions = {name: version(name) for name in ("lenskit", "numpy", "scipy")}
    name = digest({**about, "versions": versions, "split": split.split_id})[:16]
    folder = (cache or Path(tempfile.gettempdir()) / "recsearch-bench") / f"als-{size}-{name}"
    if not (folder / "trace.json").exists():
        _train(folder, about, split)
    return AlsTrace(folder)


def ratings() -> tuple[Split, str]:
    """The training ratings, and what to tell about them."""
    try:
        return load_split(load_dataset(DATA, allow_download=False)), ""
    except DataNotFoundError:
        split = load_split(load_dataset(STAND_IN))
        return split, f"{DATA} is not on this machine; {STAND_IN} stands in"


def configuration(size: int) -> dict[str, Any]:
    """LensKit's defaults at a size, with a little damping."""
    damping = {"user": 5.0, "item": 5.0}
    given = {"embedding_size": size, "damping": damping, "user_embeddings": "prefer"}
    return resolve("als").complete(given)


def untrained(size: int, split: Split) -> tuple[Family, Model]:
    """The model at the beginning of the trial."""
    family = resolve("als")
    return family, family.create(configuration(size), split, SEED)


def epoch_seconds(size: int, epochs: int = 3) -> float:
    """Median seconds of training per epoch, as it is now; the states may be of another day."""
    _, model = untrained(size, ratings()[0])
    seconds = []
    for _ in range(epochs):
        began = time.perf_counter()
        model.train_epoch()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def file_name(number: int, name: str) -> str:
    """Where the array of a version is."""
    return f"{number:02d}-{name.replace('/', '.')}.npy"


def flat(model: Model) -> tuple[Tables, list[str]]:
    """Arrays of a model's state as ``part/name``, and which are constant.

    Texts (titles) are left out: PyTorch cannot hold them.
    """
    state = model.state()
    arrays = {
        f"{part}/{name}": array
        for part, content in state.items()
        for name, array in content.tensors.items()
        if array.dtype.kind != "U"
    }
    constant = [name for name in arrays if state[name.partition("/")[0]].constant]
    return arrays, constant


def _train(folder: Path, about: dict[str, Any], split: Split) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _, model = untrained(about["size"], split)
    seconds = []
    for epoch in range(about["epochs"]):
        began = time.perf_counter()
        model.train_epoch()
        seconds.append(time.perf_counter() - began)
        arrays, constant = flat(model)
        for name, array in arrays.items():
            if epoch == 0 or name not in constant:
                np.save(folder / file_name(epoch, name), array)
    about |= {"names": list(arrays), "constant": constant, "epoch_s": float(np.median(seconds))}
    # Last: a folder without it is of an unfinished training.
    (folder / "trace.json").write_text(json.dumps(about))
