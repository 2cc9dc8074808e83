"""Checkpoints as files and in other stores: the same in every bit, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import load_file, save_file
from store_tools import KEY, assert_equal, make_state

from recsearch.errors import RecsearchError, StoreDamagedError, StoreError, UsageError
from recsearch.state import Part, State
from recsearch.store import Manifest, Store, read_file, write_file
from recsearch.store.memory import MemoryBackend

INFO = {"metrics": {"RMSE": 0.5}, "owner": "run/1", "note": "é"}
FORMATS = ("a.safetensors", "a.pt")

dtypes = st.sampled_from(["?", "i1", "u2", "<i8", "<u8", "<f2", "<f4", "<f8", "<U0", "<U3"])
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
)
states = st.dictionaries(
    st.sampled_from(["model", "vocabulary", "a b"]),
    st.builds(
        Part,
        st.dictionaries(st.text(max_size=5), arrays, max_size=3),
        st.dictionaries(st.text(max_size=3), st.integers() | st.floats(allow_nan=False)),
    ),
)


def saved(state: State, epoch: int = 3) -> tuple[Store, Manifest]:
    store = Store.on(MemoryBackend())
    store.save(KEY, epoch, state, INFO)
    return store, store.read(KEY, epoch)


@settings(deadline=None, max_examples=60)
@given(state=states, name=st.sampled_from(FORMATS))
def test_a_file_gives_back_the_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, state: State, name: str
) -> None:
    path = tmp_path_factory.mktemp("files") / name
    _, manifest = saved(state)
    write_file(path, manifest, state)
    found = read_file(path)
    assert_equal(found.state, state)
    assert (found.key, found.epoch, found.info) == (KEY, 3, INFO)
    assert [p.name for p in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", FORMATS)
def test_words_that_numpy_lacks_are_themselves_in_a_file(tmp_path: Path, name: str) -> None:
    bits = np.arange(6, dtype=np.uint16).reshape(3, 2) + 16000
    state = {"model": Part({"w": bits, "x": bits.copy()}, {"torch_dtypes": {"w": "bfloat16"}})}
    _, manifest = saved(state)
    path = tmp_path / name
    write_file(path, manifest, state)
    read = load_file(path) if name.endswith("safetensors") else torch.load(path, weights_only=True)
    assert read["model/w"].dtype == torch.bfloat16
    assert read["model/x"].dtype == torch.uint16
    assert torch.equal(read["model/w"].view(torch.uint16), read["model/x"])
    assert_equal(read_file(path).state, state)


@pytest.mark.parametrize("name", ["f.safetensors", "f.pt", "f.pth"])
def test_files_of_other_programs_become_a_model(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    weights = {"layer.weight": torch.randn(3, 2), "half": torch.randn(4).to(torch.bfloat16)}
    put = save_file if name.endswith("safetensors") else torch.save
    put(weights, path)
    found = read_file(path)
    assert found.state["model"].values == {"torch_dtypes": {"half": "bfloat16"}}
    assert np.array_equal(found.state["model"].tensors["layer.weight"], weights["layer.weight"])
    assert (found.epoch, found.info) == (1, {"imported": name})
    put(weights, tmp_path / f"again.{name}")
    assert read_file(tmp_path / f"again.{name}").key == found.key
    put({**weights, "half": weights["half"].view(torch.int16)}, path)
    assert read_file(path).key != found.key


def test_a_part_alone_is_ready_for_load_state_dict(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    state = {
        "model": Part({n: t.numpy() for n, t in model.state_dict().items()}, {"epoch": 3}),
        "other": Part({"x": np.arange(3)}),
    }
    _, manifest = saved(state)
    part = {"model": state["model"]}
    for name in FORMATS:
        write_file(tmp_path / name, manifest, part, plain=True)
    fresh = torch.nn.Linear(3, 2)
    fresh.load_state_dict(torch.load(tmp_path / "a.pt", weights_only=True))
    assert torch.equal(fresh.weight, model.weight)
    fresh.load_state_dict(load_file(tmp_path / "a.safetensors"))
    assert_equal(read_file(tmp_path / "a.safetensors").state, part)
    with pytest.raises(UsageError, match="a single part, not model, other"):
        write_file(tmp_path / "b.pt", manifest, state, plain=True)
    words = {"vocabulary": Part({"names": np.array(["a"])})}
    write_file(tmp_path / "b.safetensors", manifest, words, plain=True)
    with pytest.raises(UsageError, match=r"names of checkpoint .* is text"):
        write_file(tmp_path / "b.pt", manifest, words, plain=True)


@pytest.mark.parametrize("name", FORMATS)
def test_no_file_is_replaced_unless_told_to(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"precious")
    _, manifest = saved(make_state(1))
    with pytest.raises(UsageError, match="exists; it was left as it is"):
        write_file(path, manifest, make_state(1))
    assert path.read_bytes() == b"precious"
    write_file(path, manifest, make_state(1), force=True)
    assert_equal(read_file(path).state, make_state(1))
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(StoreError, match=r"cannot write .*No such file"):
        write_file(tmp_path / "none" / name, manifest, make_state(1))
    with pytest.raises(UsageError, match=r"ends in \.safetensors, \.pt, \.pth"):
        write_file(tmp_path / "a.h5", manifest, make_state(1))


@pytest.mark.parametrize("name", FORMATS)
def test_every_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    state = {"model": Part({"w": np.linspace(0, 1, 64)})}
    _, manifest = saved(state)
    size = write_file(path, manifest, state)
    whole = path.read_bytes()
    start = whole.index(state["model"].tensors["w"].tobytes())
    for place in range(start, start + 512, 37):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises((StoreDamagedError, UsageError)):
            read_file(path)
    path.write_bytes(whole[: size // 2])
    with pytest.raises(UsageError, match="not a"):
        read_file(path)


def test_a_changed_value_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    _, manifest = saved(make_state(1))
    write_file(path, manifest, make_state(1))
    data = path.read_bytes()
    assert b'\\"epoch\\":1' in data
    path.write_bytes(data.replace(b'\\"epoch\\":1', b'\\"epoch\\":2'))
    with pytest.raises(StoreDamagedError, match="do not match its hash") as caught:
        read_file(path)
    assert caught.value.exit_code == 4


class Evil:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path, trap = tmp_path / "a.pt", tmp_path / "trap"
    torch.save({"w": torch.ones(2), "e": Evil(trap)}, path)
    with pytest.raises(UsageError, match="not a file of plain tensors") as caught:
        read_file(path)
    assert "weights_only=False" in str(caught.value.hint)
    assert not trap.exists()
    path.write_bytes(b"\x80\x04garbage")
    with pytest.raises(UsageError):
        read_file(path)
    for content in ({"model": {"w": torch.ones(2)}}, {"w": 3}, [torch.ones(2)], torch.ones(2)):
        torch.save(content, path)
        with pytest.raises(UsageError, match=r"not a tensor|not a mapping"):
            read_file(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_file(tmp_path / "none.pt")


def test_metadata_of_another_format_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    about = {"format": 9, "values": {}, "text": {}}
    save_file({"w": torch.ones(2)}, path, {"recsearch": json.dumps(about)})
    with pytest.raises(StoreDamagedError, match="format 9"):
        read_file(path)


def test_a_file_can_be_saved_under_its_own_key_again(tmp_path: Path) -> None:
    store, manifest = saved(make_state(1))
    write_file(tmp_path / "a.pt", manifest, store.restore(KEY, 3))
    found = read_file(tmp_path / "a.pt")
    assert store.save(found.key, found.epoch, found.state, found.info).stored_bytes == 0
    with pytest.raises(RecsearchError, match="another content"):
        store.save(found.key, found.epoch, {**found.state, "x": Part({})}, found.info)
    assert store.keys() == [KEY]
