"""Partial restore: what fits is filled, bit for bit, and everything else is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_tools import KEY

from recsearch.errors import (
    CheckpointNotFoundError,
    StoreDamagedError,
    UsageError,
    VerificationError,
)
from recsearch.state import Part
from recsearch.store import ParameterMap, PartialReport, Store, Vocabulary
from recsearch.store.memory import MemoryBackend
from recsearch.store.remap import RowCounts

USERS = np.arange(60, dtype=np.float32).reshape(20, 3)
IDS = np.arange(100, 120)
NAMES = np.array([f"user {i}" for i in range(20)])


@pytest.fixture
def store() -> Store:
    """The users have a row patch on top of their blocks."""
    store = Store.on(MemoryBackend())
    users = USERS - 1
    users[3:] += 1
    tensors = {"users": users, "items": np.ones((4, 3), np.float32), "old": np.arange(3)}
    vocabulary = Part({"ids": IDS, "names": NAMES, "twice": np.zeros(20, np.int64)})
    with store.track() as track:
        for epoch in (1, 2):
            state = {"model": Part(tensors), "vocabulary": vocabulary}
            store.save(KEY, epoch, state, {}, track=track)
            tensors = tensors | {"users": USERS}
    assert len(store.read(KEY, 2).parts["model"].tensors["users"].patches) == 1
    return store


def fill(store: Store, arrays: dict[str, np.ndarray], **options: object) -> PartialReport:
    return store.restore_partial(KEY, 2, {"model": Part(arrays)}, **options)  # type: ignore[arg-type]


def test_what_fits_is_filled_in_place(store: Store) -> None:
    arrays = {
        "users": np.zeros((20, 3), np.float32),
        "items": np.full((4, 3), 7.0),
        "new": np.full(2, 5),
    }
    report = fill(store, arrays)
    assert np.array_equal(arrays["users"], USERS)
    assert (arrays["items"] == 7).all()
    assert (arrays["new"] == 5).all()
    assert report.matched == {"model/users": "model/users"}
    assert report.missing == ("model/new",)
    assert report.unexpected == ("model/old",)
    assert report.mismatched == {"model/items": ("<f4 [4, 3]", "<f8 [4, 3]")}
    with pytest.raises(VerificationError) as caught:
        report.check()
    assert caught.value.exit_code == 3
    for line in (
        "missing: model/new",
        "unexpected: model/old",
        "model/items: stored as <f4 [4, 3], wanted as <f8 [4, 3]",
    ):
        assert line in caught.value.message
    fits = fill(store, {name: np.zeros_like(a) for name, a in _stored(store).items()})
    fits.check()


def _stored(store: Store) -> dict[str, np.ndarray]:
    return dict(store.restore(KEY, 2)["model"].tensors)


def test_arrays_that_are_not_contiguous_are_filled_too(store: Store) -> None:
    turned = np.zeros((3, 20), np.float32).T
    every_second = np.zeros((8, 3), np.float32)
    fill(store, {"users": turned, "items": every_second[::2]})
    assert np.array_equal(turned, USERS)
    assert every_second.sum(axis=1).tolist() == [3, 0] * 4


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(90, 130), unique=True, min_size=1), st.booleans())
def test_rows_follow_their_ids(ids: list[int], text: bool) -> None:
    store = Store.on(MemoryBackend())
    old = NAMES if text else IDS
    state = {"model": Part({"users": USERS}), "vocabulary": Part({"ids": old})}
    store.save(KEY, 2, state, {})
    wanted = np.array([f"user {i - 100}" for i in ids]) if text else np.array(ids)
    array = np.full((len(ids), 3), -1, np.float32)
    vocabulary = {"model/users": Vocabulary("vocabulary/ids", wanted)}
    report = fill(store, {"users": array}, vocabularies=vocabulary)
    expected = [USERS[i - 100] if 100 <= i < 120 else [-1, -1, -1] for i in ids]
    assert array.tolist() == np.array(expected).tolist()
    copied = sum(100 <= i < 120 for i in ids)
    assert report.rows == {"model/users": RowCounts(copied, len(ids) - copied, 20 - copied)}
    report.check()


@pytest.mark.parametrize(
    ("array", "vocabulary", "words"),
    [
        ("users", Vocabulary("vocabulary/ids", IDS[:5]), "5 ids, but the array to fill has 20"),
        ("items", Vocabulary("vocabulary/ids", IDS[:4]), "20 ids, but model/items has 4"),
        ("users", Vocabulary("vocabulary/ids", NAMES), "as numbers or as text"),
        ("users", Vocabulary("vocabulary/twice", IDS), "not unique"),
        ("users", Vocabulary("vocabulary/ids", IDS // 2), "not unique"),
        ("more", Vocabulary("vocabulary/ids", IDS), "given for model/more"),
    ],
)
def test_vocabularies_that_do_not_fit(
    store: Store, array: str, vocabulary: Vocabulary, words: str
) -> None:
    arrays = {"users": np.zeros((20, 3), np.float32), "items": np.zeros((4, 3), np.float32)}
    with pytest.raises(UsageError, match=words):
        fill(store, arrays, vocabularies={f"model/{array}": vocabulary})


def test_a_vocabulary_that_is_not_stored(store: Store) -> None:
    users = {"users": np.zeros((20, 3), np.float32)}
    with pytest.raises(CheckpointNotFoundError, match="no array vocabulary/none"):
        fill(store, users, vocabularies={"model/users": Vocabulary("vocabulary/none", IDS)})


def test_a_map_of_names(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "names.tsv"
    path.write_text("# old new\n\nmodel/o*\tmodel/l*  # all\nusers\t\tu s\n", encoding="utf-8")
    arrays = {"lld": np.zeros(3, np.int64), "u s": np.zeros((20, 3), np.float32)}
    report = fill(store, arrays, param_map=path)
    assert report.matched == {"model/lld": "model/old", "model/u s": "model/users"}
    assert report.unexpected == ("model/items",)
    assert np.array_equal(arrays["u s"], USERS)
    assert arrays["lld"].tolist() == [0, 1, 2]


def test_a_line_without_a_star_counts_before_one_with(store: Store) -> None:
    names = ParameterMap("names", ["* a.*", "old b"])
    arrays = {"a.users": np.zeros((20, 3), np.float32), "b": np.zeros(3, np.int64)}
    report = fill(store, arrays, param_map=names)
    assert report.matched == {"model/a.users": "model/users", "model/b": "model/old"}


@pytest.mark.parametrize(
    ("lines", "number", "words"),
    [
        ("users", 1, "expected an old and a new name"),
        ("# x\nusers a b", 2, "expected an old and a new name"),
        ("users a\n\nusers b", 3, "users is on line 1 too"),
        ("users a\nnobody a", 2, "the checkpoint has no array nobody"),
        ("users a\nitems none", 2, "no array none to restore into"),
        ("us* a\n", 1, "as many \\*"),
        ("us* a*\nuser* a*", 2, "fits model/users, as does line 1"),
        ("users a\nitems a", 2, "model/users and model/items would both become model/a"),
        ("users a\nitems old", 2, "would both become model/old"),
        ("users a\n\nold items", 3, "would both become model/items"),
    ],
)
def test_wrong_lines_are_named(
    store: Store, tmp_path: Path, lines: str, number: int, words: str
) -> None:
    path = tmp_path / "names.txt"
    path.write_text(lines, encoding="utf-8")
    arrays = {"a": np.zeros((20, 3), np.float32), "asers": np.zeros((20, 3), np.float32)}
    with pytest.raises(UsageError, match=words) as caught:
        fill(store, arrays | {"items": np.zeros(1), "old": np.zeros(1)}, param_map=path)
    assert caught.value.message.startswith(f"{path}, line {number}: ")


def test_a_map_that_cannot_be_read(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read as a parameter map"):
        fill(store, {}, param_map=tmp_path / "none")


def test_a_damaged_checkpoint_names_the_nearest_intact_epoch(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s") as store:
        for epoch in (1, 2):
            store.save(KEY, epoch, {"model": Part({"users": USERS + epoch})}, {})
        (pack,) = store.read(KEY, 2).packs
    (path,) = (tmp_path / "s").rglob(f"{pack}.pack")
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreDamagedError, match="nearest intact epoch is 1"):
        fill(Store.open(tmp_path / "s"), {"users": np.zeros((20, 3), np.float32)})
