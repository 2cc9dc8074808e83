"""Damage is found, named, and never restored; a full disk leaves nothing behind."""

from __future__ import annotations

import errno
import itertools
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from damage_tools import (
    copy_of,
    damage,
    damaged_checkpoints,
    flip,
    lost_checkpoints,
    make_trained,
    manifests,
    merge_hints,
    put,
    tables,
    trained,
)
from store_tools import KEY, OTHER_KEY, WrappedBackend, assert_equal, files, make_state, names

from recsearch.errors import StoreDamagedError, StoreError, UsageError
from recsearch.state import Part
from recsearch.store import BestAndLast, Hit, Manifest, Record, Store, catalog
from recsearch.store.backend import Backend
from recsearch.store.codec import BLOCK_CODECS, RAW, SHUFFLED, hash_bytes, shuffle
from recsearch.store.layout import Layout, new_ulid
from recsearch.store.lease import pin
from recsearch.store.local import LocalBackend
from recsearch.store.manifest import encode_manifest
from recsearch.store.memory import MemoryBackend
from recsearch.store.pack import Encoded, Place, encode_table, write_pack
from recsearch.store.patch import PATCH_CODECS
from recsearch.store.wire import frame, unframe


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "store") as store:
        for epoch in (1, 2, 3):
            store.save(KEY, epoch, make_state(epoch), {"epoch": epoch})
    return tmp_path / "store"


def first_place(manifest: Manifest, part: str, tensor: str) -> Place:
    return manifest.parts[part].tensors[tensor].blocks[0][0]


def test_every_bit_flip_is_found() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    merge_hints(backend)
    with Store.on(backend) as store:
        states[OTHER_KEY, 6] = make_state(6)
        store.save(OTHER_KEY, 6, make_state(6), {"epoch": 6})
    written = tables(backend)
    assert {b.codec for table in written.values() for b in table} == {*BLOCK_CODECS, *PATCH_CODECS}
    needed = {place for manifest in manifests(backend) for place in manifest.places}
    prefixes = (Layout.PACKS, Layout.CHECKPOINTS, Layout.INDEX, Layout.CATALOG)
    targets = sorted(name for prefix in prefixes for name in names(backend, prefix))
    assert {name.rpartition(".")[2] for name in targets} == {"pack", "man", "idx", "seg", "cat"}

    def is_read(name: str, byte: int) -> bool:
        if not name.startswith(Layout.PACKS):
            return name.startswith(Layout.CHECKPOINTS)
        table = written[str(Layout.ulid_of(name))]
        hit = [b.place for b in table if 0 <= byte - b.place.offset < b.stored]
        return bool(needed & set(hit or [blob.place for blob in table]))

    rng = np.random.default_rng(5)
    hits = dict.fromkeys((True, False), 0)
    for _ in range(1000):
        name = targets[rng.integers(len(targets))]
        bit = int(rng.integers(8 * len(backend.get(name))))
        flip(backend, name, bit)
        damaged, lost = damaged_checkpoints(backend), lost_checkpoints(backend, states)
        assert damaged == lost, f"{name} bit {bit}"
        assert bool(lost) == is_read(name, bit // 8), f"{name} bit {bit}"
        hits[bool(lost)] += 1
        flip(backend, name, bit)
    assert min(hits.values()) > 100
    assert damaged_checkpoints(backend, "restore") is None


def test_truncated_and_missing_files_are_found() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    for name in names(backend, Layout.PACKS) | names(backend, Layout.CHECKPOINTS):
        data = backend.get(name)
        for length in (0, 5, len(data) // 2, len(data) - 1):
            put(backend, name, data[:length])
            assert damaged_checkpoints(backend) == lost_checkpoints(backend, states), (name, length)
        if name.startswith(Layout.PACKS):
            backend.delete(name)
            lost = lost_checkpoints(backend, states)
            assert damaged_checkpoints(backend, "structure") == (lost or None)
            assert damaged_checkpoints(backend) == (lost or None)
        put(backend, name, data)
    assert damaged_checkpoints(backend, "restore") is None


def test_the_error_names_blob_pack_checkpoint_and_nearest_intact_epoch(root: Path) -> None:
    backend = LocalBackend(root)
    with Store.open(root) as store:
        place = first_place(store.read(KEY, 3), "model", "items")
    damage(backend, place)
    with Store.open(root) as store:
        with pytest.raises(StoreDamagedError) as error:
            store.restore(KEY, 3)
        (blob,) = [b for b in tables(backend)[place.pack] if b.place == place]
        for word in (
            blob.name.hex()[:12],
            place.pack,
            f"{KEY[:12]}:3",
            "nearest intact epoch is 2",
        ):
            assert word in error.value.message
        assert_equal(
            store.restore(KEY, 3, ["vocabulary"]), {"vocabulary": make_state(3)["vocabulary"]}
        )
        (problem,) = store.verify().problems
        assert problem.kind == "blob"
        for word in (blob.name.hex()[:12], Layout.pack(place.pack)):
            assert word in problem.what
        assert problem.checkpoints == ((KEY, 3, 2),)
        assert problem.remedy == "recsearch store repair"
        assert store.verify("structure").problems == ()


def test_damage_to_a_shared_blob_names_all_that_share_it(root: Path) -> None:
    with Store.open(root) as store:
        store.save(KEY, 4, {"m": Part({"zeros": np.zeros(1000)})}, {})
        damage(LocalBackend(root), first_place(store.read(KEY, 1), "vocabulary", "ids"))
        (problem,) = store.verify().problems
        assert problem.checkpoints == ((KEY, 1, 4), (KEY, 2, 4), (KEY, 3, 4))


def test_an_epoch_of_another_owner_is_its_own_nearest(root: Path) -> None:
    with Store.open(root) as store:
        store.adopt(KEY, 2, {"owner": "another"})
        damaged = store.read(KEY, 2).ref
        flip(LocalBackend(root), damaged, 99)
        (problem,) = store.verify().problems
        assert problem.checkpoints == (Hit(KEY, 2, 2),)
        assert problem.kind == "manifest"
        assert damaged in problem.what


def test_a_damaged_manifest_names_the_nearest_intact_epoch(root: Path) -> None:
    with Store.open(root) as store:
        flip(LocalBackend(root), store.read(KEY, 2).ref, 500)
        with pytest.raises(StoreDamagedError, match="nearest intact epoch is 1"):
            store.restore(KEY, 2)


def test_a_manifest_under_another_name_is_refused(root: Path) -> None:
    with Store.open(root) as store:
        second, third = (root / store.read(KEY, epoch).ref for epoch in (2, 3))
        third.write_bytes(second.read_bytes())
        with pytest.raises(StoreDamagedError, match="it is that of"):
            store.read(KEY, 3)
        assert damaged_checkpoints(LocalBackend(root), "structure") == {(KEY, 3)}


def test_a_damaged_index_costs_nothing(root: Path) -> None:
    backend = LocalBackend(root)
    for name in names(backend, Layout.INDEX):
        flip(backend, name, 99)
    with Store.open(root) as store:
        saved = store.save(KEY, 9, make_state(1), {})
        assert len(store.read(KEY, 9).packs) == 1
        assert saved.stored_bytes < 1500
        problems = store.verify().problems
        assert [problem.kind for problem in problems] == ["index"] * 3
        assert [problem.checkpoints for problem in problems] == [()] * 3


def test_hints_that_are_intact_but_wrong_are_found() -> None:
    backend = MemoryBackend()
    make_trained(backend)
    pack, *others = sorted(tables(backend))
    blobs = tables(backend)[others[0]]
    lies = {Layout.index(pack): encode_table(pack, blobs)}
    put(backend, *lies.popitem())
    (problem,) = Store.on(backend).verify("structure").problems
    assert (problem.kind, problem.checkpoints) == ("index", ())
    assert Layout.index(pack) in problem.what
    merge_hints(backend)
    (problem,) = Store.on(backend).verify("structure").problems
    assert problem.what.startswith("index/")
    assert ".seg is damaged" in problem.what

    (name,) = names(backend, Layout.CATALOG)
    content = unframe(catalog.MAGIC, backend.get(name))
    numbers = np.frombuffer(content["numbers"], "<i8").copy()
    numbers[1] += 1
    put(backend, name, frame(catalog.MAGIC, {**content, "numbers": numbers.tobytes()}))
    whats = {problem.what for problem in Store.on(backend).verify("structure").problems}
    assert f"{name} is damaged: it is not that of its manifests" in whats


def test_manifests_that_do_not_fit_their_blobs_are_found() -> None:
    backend = MemoryBackend()
    make_trained(backend)
    store = Store.on(backend)
    given = store.read(KEY, 5)
    model = given.parts["model"]
    line, table = model.tensors["line"], model.tensors["table"]
    (chain,) = line.blocks
    assert len(chain) > 3
    assert table.patches
    wrong = [
        replace(line, blocks=((chain[0], *chain[2:]),)),
        replace(line, blocks=(chain[:-1],)),
        replace(line, blocks=(chain[1:],)),
        replace(line, blocks=model.tensors["walk"].blocks),
        replace(line, blocks=((Place(chain[0].pack, 1), *chain[1:]),)),
        replace(line, shape=(35, 16)),
        replace(line, hash=bytes(32)),
        replace(table, patches=(*table.patches[1:], chain[0])),
    ]
    for tensor in wrong:
        part = replace(model, tensors={**model.tensors, tensor.name: tensor})
        name = Layout.manifest(OTHER_KEY, 9, new_ulid())
        bad = replace(given, key=OTHER_KEY, epoch=9, parts={**given.parts, "model": part})
        backend.put_create(name.ref, [encode_manifest(bad)])
        assert damaged_checkpoints(backend, "structure") == {(OTHER_KEY, 9)}, tensor
        backend.delete(name.ref)
    assert damaged_checkpoints(backend, "structure") is None


def test_bytes_that_decode_to_something_else_are_found_by_decoding(root: Path) -> None:
    backend, raw, other = LocalBackend(root), np.arange(900), np.arange(900) + 1
    pack = new_ulid()
    data = shuffle(other.view(np.uint8), 8)
    name = hash_bytes(raw.view(np.uint8).data)
    write_pack(backend, pack, [Encoded(name, raw.nbytes, SHUFFLED, "<i8", (data,))])
    with Store.open(root) as store:
        # The vocabulary of another store says where its blob is: here.
        given = store.read(KEY, 3)
        vocabulary = given.parts["vocabulary"]
        ids = replace(
            vocabulary.tensors["ids"], shape=(900,), hash=name, blocks=((Place(pack, 0),),)
        )
        part = replace(vocabulary, tensors={"ids": replace(ids, block_rows=900)})
        bad = replace(given, epoch=4, parts={"vocabulary": part})
        backend.put_create(Layout.manifest(KEY, 4, new_ulid()).ref, [encode_manifest(bad)])
        assert store.verify("structure").problems == ()
        assert store.verify("data").problems == ()
        (problem,) = store.verify("restore").problems
        assert (problem.kind, problem.checkpoints) == ("blob", (Hit(KEY, 4, 3),))


def test_each_level_says_what_it_read_and_what_it_does_not_find(root: Path) -> None:
    backend = LocalBackend(root)
    stored = sum(blob.stored for table in tables(backend).values() for blob in table)
    with Store.open(root) as store:
        structure, data, restore = (store.verify(n) for n in ("structure", "data", "restore"))
        assert [r.bytes_read for r in (structure, data, restore)] == [0, stored, stored]
        assert [(r.checkpoints, r.packs) for r in (structure, data, restore)] == [(3, 3)] * 3
        assert "level data" in structure.unchecked
        assert "level restore" in data.unchecked
        for wrong in ({"level": "all"}, {"sample": 0.0}, {"sample": 1.5}):
            with pytest.raises(UsageError, match="levels are structure, data, restore"):
                store.verify(**wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="only level data takes a share"):
            store.verify("restore", sample=0.5)


def test_a_sample_reads_its_share_and_the_same_again() -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        for epoch in range(1, 41):
            arrays = {f"a{n}": np.random.default_rng([epoch, n]).normal(size=30) for n in range(10)}
            store.save(KEY, epoch, {"m": Part(arrays)}, {})
        for name in names(backend, Layout.PACKS):
            flip(backend, name, 77)  # the first blob of each pack
        whole = store.verify().bytes_read
        some = store.verify(sample=0.3, seed=1)
        assert (some.sample, some.seed) == (0.3, 1)
        assert 0.2 < some.bytes_read / whole < 0.4
        assert 4 < len(some.problems) < 22
        assert "30%" in some.unchecked
        assert "seed 1" in some.unchecked
        assert store.verify(sample=0.3, seed=1) == some
        assert store.verify(sample=0.3, seed=2).problems != some.problems
        assert store.verify(sample=0.3).seed != store.verify(sample=0.3).seed


def test_each_pack_is_read_once_and_in_order() -> None:
    class Watched(MemoryBackend):
        def read_into(self, name: str, start: int, buffer: memoryview) -> int:
            reads.append((name, start, len(buffer)))
            return super().read_into(name, start, buffer)

    reads: list[tuple[str, int, int]] = []
    backend = Watched()
    make_trained(backend)
    reads.clear()
    Store.on(backend).verify()
    assert sorted(name for name, _, _ in reads) == sorted(names(backend, Layout.PACKS))
    sizes = {Layout.pack(p): sum(b.stored for b in table) for p, table in tables(backend).items()}
    assert {name: length for name, _, length in reads} == sizes


def test_what_the_medium_cannot_read_is_told_apart_from_damage(root: Path) -> None:
    class Failing(LocalBackend):
        def read_into(self, name: str, start: int, buffer: memoryview) -> int:
            if name == broken:
                raise StoreError(f"cannot read {name}: Input/output error")
            return super().read_into(name, start, buffer)

    with Store.open(root) as store:
        broken = Layout.pack(first_place(store.read(KEY, 2), "model", "items").pack)
    (problem,) = Store.on(Failing(root)).verify().problems
    assert problem.kind == "unreadable"
    assert problem.checkpoints == ((KEY, 2, 1),)
    assert "Input/output error" in problem.what


def test_a_lease_that_cannot_be_read_is_found(root: Path) -> None:
    backend = LocalBackend(root)
    flip(backend, pin(backend, [new_ulid()]).name, 99)
    (problem,) = Store.on(backend).verify("structure").problems
    assert problem.kind == "lease"
    assert problem.remedy.startswith("recsearch store repair --leases")


def test_a_collection_or_a_save_while_verifying_is_no_damage() -> None:
    made = MemoryBackend()
    make_trained(made)

    def drop(store: Store) -> None:
        store.retain(KEY, BestAndLast("min", 0, 1), [Record(epoch, 0.0) for epoch in range(1, 6)])
        store.collect(grace_s=0)
        store.collect(grace_s=0)

    def save(store: Store) -> None:
        with store.track(codec="small") as track:
            for epoch in (7, 8):
                store.save(OTHER_KEY, epoch, trained(2, epoch), {}, track=track)

    counted = WrappedBackend(made, lambda number: None)
    Store.on(counted).verify("restore")
    for action, moment in itertools.product((drop, save), range(0, counted.count, 8)):
        backend, fired = copy_of(made), []

        def before(
            number: int,
            action: Callable[[Store], None] = action,
            moment: int = moment,
            backend: Backend = backend,
            fired: list[int] = fired,
        ) -> None:
            if number == moment:
                fired.append(number)
                with Store.on(backend) as store:
                    action(store)

        assert Store.on(WrappedBackend(backend, before)).verify("restore").problems == ()
        assert fired


def test_a_pack_that_vanishes_while_verifying_is_missed(root: Path) -> None:
    class Vanishing(LocalBackend):
        def read_into(self, name: str, start: int, buffer: memoryview) -> int:
            if name == gone:
                super().delete(name)
            return super().read_into(name, start, buffer)

    with Store.open(root) as store:
        gone = Layout.pack(first_place(store.read(KEY, 2), "model", "items").pack)
    (problem,) = Store.on(Vanishing(root)).verify().problems
    assert (problem.kind, problem.checkpoints) == ("pack", (Hit(KEY, 2, 1),))


def test_what_a_buffer_held_before_is_not_taken_for_read() -> None:
    backend = MemoryBackend()
    store = Store.on(backend)
    data = np.random.default_rng(0).integers(0, 256, 4000, np.uint8)
    for _ in range(20):
        blob = Encoded(hash_bytes(data.data), len(data), RAW, "|u1", (data.data,))
        write_pack(backend, new_ulid(), [blob])
    cut = sorted(names(backend, Layout.PACKS))[::2]
    for name in cut:
        put(backend, name, backend.get(name)[:100])
    problems = store.verify().problems
    assert sum(problem.kind == "blob" for problem in problems) == len(cut)


@pytest.mark.parametrize("name", ["fsync", "link", "mkdir"])
def test_a_full_disk_is_reported_and_leaves_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = files(root)
    with Store.open(root) as store:
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(StoreError, match=r"cannot write /.*: No space left") as error:
                store.save("ef" * 32, 1, make_state(7), {})
            assert error.value.hint is not None
        # With some names the pack's directory exists already, and only the manifest's is
        # refused: then the pack is garbage for the next collection.
        store.collect(grace_s=0)
        assert files(root) == before
        assert_after_recovery(store)


def assert_after_recovery(store: Store) -> None:
    store.save("ef" * 32, 1, make_state(7), {})
    assert_equal(store.restore("ef" * 32, 1), make_state(7))
    assert store.verify().problems == ()


def test_a_write_that_fails_half_way_leaves_nothing(root: Path) -> None:
    before = files(root)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    state = {"m": Part({"x": np.random.default_rng(0).integers(0, 256, 2**20, np.uint8)})}
    with Store.open(root) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, limits[1]))
        try:
            with pytest.raises(StoreError, match=r"cannot write .*\.pack: File too large"):
                store.save("ef" * 32, 1, state, {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert files(root) == before
        assert_after_recovery(store)


def test_a_commit_that_failed_may_be_tried_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Store.open(root) as store:
        staged = store.stage(make_state(8))
        staged._future.result()
        with monkeypatch.context() as patch:
            patch.setattr(os, "link", full)
            with pytest.raises(StoreError, match=r"\.man: No space left"):
                staged.commit(KEY, 8, {})
        assert 8 not in store.epochs(KEY)
        staged.commit(KEY, 8, {})
        assert_equal(store.restore(KEY, 8), make_state(8))
