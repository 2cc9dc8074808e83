"""The example of docs/own-model.md: the contracts, its touched rows, the store, a whole search."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from contract import PipelineContract, assert_states_equal, copied
from model_splits import make_split
from search_tools import search_without_ray

import recsearch
from recsearch.models import Family, Model, resolve
from recsearch.state import State
from recsearch.store import Store

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
NAME = "torch_mf:TorchMF"
FEW: dict[str, Any] = {"embedding_size": 4, "batch_size": 8, "batches_per_epoch": 2}
KEY = "7" * 64


@pytest.fixture(autouse=True, scope="module")
def examples() -> Iterator[None]:
    """What PYTHONPATH=docs/examples does; and one thread, as every worker of a search has."""
    sys.path.insert(0, str(EXAMPLES))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    sys.path.remove(str(EXAMPLES))


class TestTorchMF(PipelineContract):
    family_name = NAME
    config: ClassVar = {"embedding_size": 5, "learning_rate": 0.02, "batch_size": 32}
    typo = ("embeding_size", "embedding_size")

    def test_pipeline_holds_lenskits_own_class_and_has_a_configuration(
        self, family: Family, model: Model
    ) -> None:
        component = model.to_pipeline().node("scorer").component
        assert type(component).__module__ == "lenskit.funksvd"


class TestTorchMFFewBatches(TestTorchMF):
    config: ClassVar = FEW
    string_ids = True


def changed(before: State, after: State) -> dict[tuple[str, str], list[int]]:
    return {
        (part, name): np.flatnonzero(
            (before[part].tensors[name] != after[part].tensors[name]).any(axis=1)
        ).tolist()
        for part in ("model",)
        for name in before[part].tensors
    }


def named(state: State) -> dict[tuple[str, str], list[int]]:
    return {
        (part, name): rows.tolist()
        for part in ("model",)
        for name, rows in state[part].touched.items()
    }


@pytest.mark.parametrize("config", [FEW, {"embedding_size": 4}], ids=["few", "all"])
def test_touched_rows_are_exactly_those_that_changed(config: dict[str, Any]) -> None:
    split, family = make_split(), resolve(NAME)
    model = family.create(family.complete(config), split, 3)
    before = model.state()
    assert named(before) == {}
    for _ in range(4):
        model.train_epoch()
        after = model.state()
        assert named(after) == changed(before, after)
        assert len(named(after)) == 2
        before = after
    items = named(before)["model", "items"]
    assert split.n_items - 1 not in items  # nobody has rated it
    assert (len(items) <= 16) == ("batches_per_epoch" in config)


def test_a_resumed_model_names_the_rows_since_its_checkpoint() -> None:
    split, family = make_split(), resolve(NAME)
    straight, resumed = (family.create(family.complete(FEW), split, 3) for _ in range(2))
    straight.train_epoch()
    resumed.load_state(copied(straight.state()))
    assert named(resumed.state()) == {}
    straight.train_epoch()
    resumed.train_epoch()
    assert named(resumed.state()) == named(straight.state()) != {}


def test_every_epoch_comes_back_from_the_store_bit_for_bit(tmp_path: Path) -> None:
    split, family = make_split(300, 400), resolve(NAME)
    config = family.complete({**FEW, "embedding_size": 32})
    model, states, stored = family.create(config, split, 3), [], []
    with Store.open(str(tmp_path / "store")) as store, store.track(codec="small") as track:
        for epoch in range(1, 7):
            model.train_epoch()
            states.append(copied(model.state()))
            saved = store.save(KEY, epoch, model.state(), {}, track=track)
            stored.append(saved.stored_bytes / saved.logical_bytes)
        for epoch, state in enumerate(states, start=1):
            found = store.restore(KEY, epoch)
            assert_states_equal(found, state)
            again = family.create(config, split, 3)
            again.load_state(found)
            for later in states[epoch:]:
                again.train_epoch()
                assert_states_equal(again.state(), later)
    assert max(stored[1:]) < stored[0] / 4  # 16 of 300 users, 16 of 400 items


def test_a_whole_search_keeps_all_epochs_and_its_best_loads(tmp_path: Path) -> None:
    view = search_without_ray(
        tmp_path, "demo:small", str(EXAMPLES / "torch-mf.toml"), search__trials=2,
        search__max_epochs=3, search__retention="all", search__scheduler="none",
        search__stop="none",
    )  # fmt: skip
    with Store.open(str(tmp_path / "store")) as store:
        for trial in view.trials:
            assert [row.epoch for row in trial.epochs] == [1, 2, 3]
            assert store.epochs(trial.key) == [1, 2, 3]
    pipeline = recsearch.load(view.path, epoch="last")
    assert pipeline.node("scorer").component.item_embeddings.shape[0] > 0


def test_the_page_shows_the_file() -> None:
    page = (ROOT / "docs" / "own-model.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert (EXAMPLES / "torch_mf.py").read_text(encoding="utf-8") in blocks
    searches = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert (EXAMPLES / "torch-mf.toml").read_text(encoding="utf-8") in searches
