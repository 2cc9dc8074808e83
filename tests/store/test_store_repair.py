"""Repair restores whatever has an intact copy, sets the rest aside, and puts nothing at risk."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage_tools import (
    Dying,
    Recording,
    States,
    content,
    copy_of,
    damage,
    damage_table,
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_tools import (
    KEY,
    OTHER_KEY,
    CrashError,
    WrappedBackend,
    assert_equal,
    assert_no_garbage,
    later,
    make_state,
    names,
)

from recsearch.errors import StoreDamagedError, StoreError
from recsearch.state import Part, State
from recsearch.store import Hit, Manifest, Store, catalog, lease
from recsearch.store.backend import Backend
from recsearch.store.codec import DELTA, SHUFFLED, shuffle
from recsearch.store.layout import Layout, new_ulid
from recsearch.store.lease import Ownership, pin
from recsearch.store.local import LocalBackend
from recsearch.store.manifest import MAGIC, encode_manifest
from recsearch.store.memory import MemoryBackend
from recsearch.store.pack import Blob, Encoded, Place, write_pack
from recsearch.store.patch import PATCH_CODECS
from recsearch.store.wire import frame

FIXTURES = Path(__file__).parent / "fixtures"
DAY = 2 * 24 * 3600.0
THIRD_KEY = "ef" * 32


def blob_at(backend: Backend, place: Place) -> Blob:
    (blob,) = [blob for blob in tables(backend)[place.pack] if blob.place == place]
    return blob


def chain_of(store: Store, key: str, epoch: int, tensor: str) -> tuple[Place, ...]:
    (chain,) = store.read(key, epoch).parts["model"].tensors[tensor].blocks
    return chain


def ignorant_save(backend: Backend, key: str, epoch: int, state: State) -> None:
    """Save as one of two writers that do not know of each other."""
    with Store.on(backend) as store:
        store._writer()._index.refresh = lambda: None  # type: ignore[method-assign]
        store.save(key, epoch, state, {"epoch": epoch})


def save_twice(backend: Backend, states: States) -> None:
    """Store every state of the first trial once more, under a third key, in whole blocks."""
    for (key, epoch), state in list(states.items()):
        if key == KEY:
            ignorant_save(backend, THIRD_KEY, epoch, state)
            states[THIRD_KEY, epoch] = state


def assert_mended(backend: Backend, states: States, lost: set[tuple[str, int]]) -> None:
    """All but ``lost`` restores, nothing damaged is left in its place, and nothing hangs about."""
    assert {(m.key, m.epoch) for m in manifests(backend)} == states.keys() - lost
    rest = {name: state for name, state in states.items() if name not in lost}
    assert lost_checkpoints(backend, rest) == set()
    assert damaged_checkpoints(backend, "restore") is None
    assert names(backend, Layout.LEASES) == set()
    for name in names(backend, Layout.TOMBS):  # a crash after the last but one operation leaves it
        assert str(Layout.ulid_of(name)) not in tables(backend)
    before = content(backend)
    again = Store.on(backend).repair()
    assert (again.moved, again.blobs, again.hints, again.quarantined) == (0, 0, (), ())
    assert content(backend) == before


def test_nothing_is_done_to_a_sound_store() -> None:
    backend = MemoryBackend()
    assert_mended(backend, make_trained(backend), set())


@pytest.mark.parametrize("loss", ["flip", "cut", "delete"])
def test_the_index_is_written_anew_exactly_as_it_was(loss: str) -> None:
    backend = MemoryBackend()
    make_trained(backend)
    before = content(backend, Layout.INDEX)
    for name, data in before.items():
        if loss == "flip":
            flip(backend, name, 999)
        elif loss == "cut":
            put(backend, name, data[:70])
        else:
            backend.delete(name)
    assert Store.on(backend).repair(dry_run=True).hints == tuple(sorted(before))
    assert Store.on(backend).repair().hints == tuple(sorted(before))
    assert content(backend, Layout.INDEX) == before


@pytest.mark.parametrize("suffix", [".seg", ".cat", ".idx"])
def test_merged_hints_are_written_anew(suffix: str) -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    merge_hints(backend)
    ignorant_save(backend, THIRD_KEY, 1, states[KEY, 1])
    states[THIRD_KEY, 1] = states[KEY, 1]
    (name,) = (n for n in names(backend, "") if n.endswith(suffix))
    before = backend.get(name)
    flip(backend, name, 999)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "_MANY", 1)
        assert name in Store.on(backend).repair().hints
    if suffix == ".seg":  # the next collection merges them again
        indexed = {Layout.ulid_of(n) for n in names(backend, Layout.INDEX)}
        assert indexed == {pack for m in manifests(backend) for pack in m.packs}
    elif suffix == ".idx":
        assert backend.get(name) == before
    else:
        (written,) = names(backend, Layout.CATALOG)
        assert written != name
    assert_mended(backend, states, set())


def test_foreign_files_are_left_alone() -> None:
    backend = MemoryBackend()
    make_trained(backend)
    foreign = [
        f"{place}notes.txt" for place in ("index/", "catalog/", "leases/", "packs/", "ckpt/")
    ]
    for name in foreign:
        put(backend, name, b"x" * 99)
    report = Store.on(backend).repair(leases=True)
    assert (report.hints, report.quarantined, report.leases) == ((), (), ())
    assert names(backend, "") >= set(foreign)


def test_another_copy_takes_the_place_of_a_damaged_blob() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    with Store.on(backend) as store:
        damage(backend, chain_of(store, OTHER_KEY, 2, "line")[0])
        ignorant_save(backend, THIRD_KEY, 1, states[OTHER_KEY, 2])
        states[THIRD_KEY, 1] = states[OTHER_KEY, 2]
        assert damaged_checkpoints(backend) == {(OTHER_KEY, 2)}
        report = store.repair()
    assert report.repaired == ((OTHER_KEY, 2),)
    assert report.lost == ()
    (pack,) = {Layout.ulid_of(name) for name in report.quarantined}
    assert f"lost/{Layout.pack(str(pack))}" in report.quarantined
    assert report.bytes_written > 0
    assert_mended(backend, states, set())


@pytest.mark.parametrize("link", [0, 1, 2, -1])
@pytest.mark.parametrize("tensor", ["line", "walk"])
def test_a_chain_stays_decodable_when_a_link_is_replaced(link: int, tensor: str) -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    save_twice(backend, states)  # in whole blocks
    with Store.on(backend) as store:
        chain = chain_of(store, KEY, 5, tensor)
        assert len(chain) == 5
        damage(backend, chain[link])
        assert (KEY, 5) in (damaged_checkpoints(backend) or ())
        assert store.repair().lost == ()
        assert all(place != chain[link] for place in chain_of(store, KEY, 5, tensor))
    assert_mended(backend, states, set())


def test_a_whole_block_is_decoded_from_a_difference_elsewhere() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    with Store.on(backend) as store:
        ignorant_save(backend, THIRD_KEY, 1, states[KEY, 4])
        states[THIRD_KEY, 1] = states[KEY, 4]
        (place,) = chain_of(store, THIRD_KEY, 1, "line")
        name = blob_at(backend, place).name
        others = [b for t in tables(backend).values() for b in t if b.name == name]
        assert {b.codec for b in others} == {"raw", "extrapolate"}
        damage(backend, place)
        assert store.repair().repaired == ((THIRD_KEY, 1),)
    assert_mended(backend, states, set())


def test_another_copy_takes_the_place_of_a_damaged_patch() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    twins = MemoryBackend()
    make_trained(twins)  # the same patches, in packs of other names
    for name, data in content(twins, Layout.PACKS).items():
        backend.put_create(name, [data])
    with Store.on(backend) as store:
        for key, epoch in ((KEY, 3), (OTHER_KEY, 2)):
            patch = store.read(key, epoch).parts["model"].tensors["table"].patches[-1]
            assert blob_at(backend, patch).codec in PATCH_CODECS
            damage(backend, patch)
        hit = damaged_checkpoints(backend)
        assert hit == {(KEY, 3), (KEY, 4), (KEY, 5), *((OTHER_KEY, e) for e in (2, 4, 5))}
        assert set(store.repair().repaired) == hit
    assert_mended(backend, states, set())


def test_a_pack_whose_table_is_damaged_is_salvaged_by_its_index() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    packs = set(tables(backend))
    for pack in packs:
        damage_table(backend, pack)
    assert damaged_checkpoints(backend, "structure") == states.keys()
    before = content(backend)
    report = Store.on(backend).repair()
    assert set(report.repaired) == states.keys()
    assert packs & set(tables(backend)) == set()
    for name, data in before.items():
        if name.startswith((Layout.PACKS, Layout.INDEX)):
            assert backend.get(f"lost/{name}") == data
    assert_mended(backend, states, set())


def test_a_missing_pack_is_replaced_by_copies_of_its_blobs() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    ignorant_save(backend, THIRD_KEY, 1, states[OTHER_KEY, 1])
    states[THIRD_KEY, 1] = states[OTHER_KEY, 1]
    with Store.on(backend) as store:
        (place,) = chain_of(store, OTHER_KEY, 1, "noise")
    backend.delete(Layout.pack(place.pack))
    hit = damaged_checkpoints(backend, "structure")
    assert hit
    assert set(Store.on(backend).repair().repaired) == hit
    assert_mended(backend, states, set())


def test_what_has_no_copy_is_set_aside_and_its_neighbour_named() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    with Store.on(backend) as store:
        place = chain_of(store, KEY, 3, "noise")[0]
        damage(backend, place)
        refs = [store.read(KEY, 3).ref]
        pack = Layout.pack(place.pack)
        before = content(backend)
        plan = store.repair(dry_run=True)
        assert content(backend) == before
        report = store.repair()
    assert report.lost == plan.lost == (Hit(KEY, 3, 2),)
    index = f"lost/{Layout.index(place.pack)}"
    assert report.quarantined == (f"lost/{refs[0]}", index, f"lost/{pack}")
    assert set(plan.quarantined) == set(report.quarantined)
    assert (plan.dry_run, plan.moved, plan.blobs) == (True, report.moved, report.blobs)
    # Epochs 4 and 5 needed other blobs of that pack.
    assert report.moved == 2
    assert report.blobs == 3
    assert backend.get(f"lost/{refs[0]}") == before[refs[0]]
    assert backend.get(f"lost/{pack}") == before[pack]
    assert_mended(backend, states, {(KEY, 3)})


def test_a_damaged_manifest_is_set_aside_and_that_of_another_owner_read() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    with Store.on(backend) as store:
        store.adopt(KEY, 2, {"epoch": 2, "owner": "another"})
        for epoch in (2, 4):
            flip(backend, store.read(KEY, epoch).ref, 321)
        with pytest.raises(StoreDamagedError):
            store.restore(KEY, 2)
        report = store.repair()
    assert report.lost == (Hit(KEY, 2, 2), Hit(KEY, 4, 3))
    assert all(name.startswith(f"lost/ckpt/{KEY[:2]}/") for name in report.quarantined)
    assert_mended(backend, states, {(KEY, 4)})


def test_no_table_and_no_index_loses_the_checkpoint_and_nothing_else() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    with Store.on(backend) as store:
        pack = chain_of(store, KEY, 5, "line")[0].pack
        damage_table(backend, pack)
        flip(backend, Layout.index(pack), 500)
        assert store.repair().lost == (Hit(KEY, 5, 4),)
    assert_mended(backend, states, {(KEY, 5)})


def test_a_raw_block_without_any_table_is_known_by_the_hash_of_its_array() -> None:
    backend = MemoryBackend()
    array = np.random.default_rng(0).normal(size=99)
    for key in (KEY, OTHER_KEY):
        ignorant_save(backend, key, 1, {"m": Part({"x": array})})
    with Store.on(backend) as store:
        (pack,) = store.read(KEY, 1).packs
        backend.delete(Layout.pack(pack))
        backend.delete(Layout.index(pack))
        assert store.repair().repaired == ((KEY, 1),)
        assert store.restore(KEY, 1)["m"].tensors["x"].tobytes() == array.tobytes()


def test_what_is_computed_again_keeps_what_it_is_computed_from() -> None:
    backend = MemoryBackend()
    states = {epoch: make_state(epoch) for epoch in (1, 2)}
    with Store.on(backend) as store:
        for epoch, state in states.items():
            store.save(KEY, epoch, state, {"owner": "a"})
        assert store.thin(KEY, 2, ("model", "bias"), (1, "model", "items"), owner="a") == 1
        damage_table(backend, chain_of(store, KEY, 1, "items")[0].pack)
        report = store.repair()
        assert report.repaired == ((KEY, 1), (KEY, 2))
        bias = states[2]["model"].tensors["bias"]
    with Store.on(backend) as store:
        found = store.restore(KEY, 2, remake=lambda part, name, items: bias)
        assert_equal(found, states[2])
    assert damaged_checkpoints(backend, "restore") is None


def rewritten(manifest: Manifest, **changes: Any) -> tuple[str, bytes]:
    """Name and bytes of a manifest of a third trial in which array ``line`` is another one."""
    part = manifest.parts["model"]
    tensors = {**part.tensors, "line": replace(part.tensors["line"], **changes)}
    parts = {**manifest.parts, "model": replace(part, tensors=tensors)}
    name = Layout.manifest(THIRD_KEY, manifest.epoch, new_ulid())
    new = replace(manifest, key=THIRD_KEY, ref=name.ref, parts=parts)
    return name.ref, encode_manifest(new)


def test_a_chain_that_does_not_link_is_put_together_again() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    with Store.on(backend) as store:
        (chain,) = (chain_of(store, KEY, 5, "line"),)
        put(backend, *rewritten(store.read(KEY, 5), blocks=((chain[0], *chain[2:]),)))
        put(backend, *rewritten(store.read(KEY, 4), hash=bytes(32)))
        states[THIRD_KEY, 5] = states[KEY, 5]
        damage_table(backend, chain_of(store, KEY, 4, "line")[0].pack)
        report = store.repair()
    assert report.repaired == ((KEY, 4), (KEY, 5), (THIRD_KEY, 5))
    assert report.lost == (Hit(THIRD_KEY, 4, 5),)
    assert_mended(backend, states, set())


def test_only_what_decodes_to_the_content_is_taken_for_it() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    with Store.on(backend) as store:
        (place,) = chain_of(store, OTHER_KEY, 5, "noise")
        blob = blob_at(backend, place)
        # Nothing refers to these, so that nothing but their bytes is verified: another content,
        # and two that are each a difference to the other.
        lie = shuffle(np.zeros(blob.raw, np.uint8), 1)
        other = bytes(32)
        for name, over in ((blob.name, other), (other, blob.name)):
            encoded = [Encoded(name, blob.raw, DELTA, "|u1", (lie,), over)]
            write_pack(backend, new_ulid(), encoded)
        write_pack(backend, new_ulid(), [Encoded(blob.name, blob.raw, SHUFFLED, "|u1", (lie,))])
        damage(backend, place)
        assert store.repair().lost == (Hit(OTHER_KEY, 5, 4),)
    assert_mended(backend, states, {(OTHER_KEY, 5)})


def test_two_damaged_copies_of_a_patch_are_none() -> None:
    backend, twins = MemoryBackend(), MemoryBackend()
    states = make_trained(backend)
    make_trained(twins)
    for name, data in content(twins, Layout.PACKS).items():
        backend.put_create(name, [data])
    with Store.on(backend) as store:
        patch = store.read(KEY, 5).parts["model"].tensors["table"].patches[-1]
        name = blob_at(backend, patch).name
        for blob in [b for table in tables(backend).values() for b in table if b.name == name]:
            damage(backend, blob.place)
        assert store.repair().lost == (Hit(KEY, 5, 4),)
    assert_mended(backend, states, {(KEY, 5)})


def test_what_a_repair_that_died_had_marked_is_mended_at_once() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    with Store.on(backend) as store:
        pack = chain_of(store, KEY, 5, "line")[0].pack
        damage_table(backend, pack)
        backend.put_create(Layout.tomb(pack), [])
        report = store.repair()
    assert (report.repaired, report.waiting) == (((KEY, 5),), ())
    assert names(backend, Layout.TOMBS) == set()
    assert_mended(backend, states, set())


def test_a_repair_that_was_suspended_loses_nothing_to_a_collection() -> None:
    damaged = MemoryBackend()
    states = make_trained(damaged)
    with Store.on(damaged) as store:
        damage_table(damaged, chain_of(store, KEY, 2, "line")[0].pack)
        damage_table(damaged, chain_of(store, OTHER_KEY, 1, "line")[0].pack)
    writes: list[str] = []
    recording = Recording(copy_of(damaged), writes)
    Store.on(recording).repair()
    packs = [at for at, name in zip(recording.at, writes, strict=True) if name.endswith(".pack")]
    for moment in range(packs[0] + 1, recording.count, 3):
        backend = copy_of(damaged)

        def before(number: int, moment: int = moment, backend: Backend = backend) -> None:
            if number == moment:  # the repair's lease has run out
                for name in names(backend, Layout.LEASES):
                    if name.endswith(".gc"):
                        backend.delete(name)
                for _ in range(2):
                    Store.on(backend).collect(grace_s=0, max_waste=9)

        Store.on(WrappedBackend(backend, before)).repair()
        assert lost_checkpoints(backend, states) == set()


def ruin(backend: Backend, states: States) -> set[tuple[str, int]]:
    """Damage of every kind at once; returns the checkpoints that have no copy."""
    save_twice(backend, states)
    with Store.on(backend) as store:
        damage(backend, chain_of(store, KEY, 3, "walk")[0])
        damage(backend, chain_of(store, KEY, 1, "line")[0])
        damage(backend, chain_of(store, OTHER_KEY, 4, "noise")[0])
        damage_table(backend, chain_of(store, OTHER_KEY, 1, "noise")[0].pack)
        flip(backend, store.read(OTHER_KEY, 5).ref, 77)
        flip(backend, Layout.index(chain_of(store, KEY, 5, "noise")[0].pack), 900)
    return {(OTHER_KEY, 4), (OTHER_KEY, 5)}


def clean_up(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The leases of the dead process run out, and its garbage is collected."""
    with monkeypatch.context() as patch:
        patch.setattr(lease, "time", later(DAY))
        for _ in range(2):
            Store.on(backend).collect(grace_s=0)


def test_a_crash_after_every_operation_of_a_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = MemoryBackend()
    states = make_trained(damaged)
    lost = ruin(damaged, states)
    restorable = {n: s for n, s in states.items() if n not in lost_checkpoints(damaged, states)}
    with Store.on(damaged) as store:
        kept = {f"lost/{name.ref}" for k, e in lost for name in [store._names(k)[e]]}
    crashed = 0
    for after in range(10_000):
        backend = copy_of(damaged)
        try:
            Store.on(Dying(backend, after)).repair()
        except CrashError:
            crashed += 1
            assert lost_checkpoints(backend, restorable) == set()
            with monkeypatch.context() as patch:
                patch.setattr(lease, "time", later(DAY))
                Store.on(backend).repair()
        else:
            break
        for name in names(backend, Layout.LEASES):
            backend.delete(name)
        assert_mended(backend, states, lost)
        assert kept <= names(backend, "lost/")
        clean_up(backend, monkeypatch)
        assert_no_garbage(backend)
    assert crashed > 40
    assert_mended(backend, states, lost)


CHILD = """
import sys
from recsearch.store import Store
print("ready", flush=True)
Store.open(sys.argv[1]).repair()
"""


def test_killed_while_repairing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = MemoryBackend()
    states = make_trained(damaged)
    lost = ruin(damaged, states)
    restorable = {n: s for n, s in states.items() if n not in lost_checkpoints(damaged, states)}
    for kill in range(3):
        backend = LocalBackend(tmp_path / str(kill))
        for name, data in content(damaged).items():
            backend.put_create(name, [data], durable=False)
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(backend.root)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.02 + 0.06 * kill)
        child.kill()
        child.wait()
        child.stdout.close()
        assert lost_checkpoints(backend, restorable) == set()
        with monkeypatch.context() as patch:
            patch.setattr(lease, "time", later(DAY))
            Store.on(backend).repair()
            Store.on(backend).collect(grace_s=0)
        assert_mended(backend, states, lost)


def test_a_save_between_any_two_operations_of_a_repair() -> None:
    damaged = MemoryBackend()
    states = make_trained(damaged)
    lost = ruin(damaged, states)
    writes: list[str] = []
    counted = Recording(copy_of(damaged), writes)
    Store.on(counted).repair()
    marked = counted.at[next(n for n, name in enumerate(writes) if name.startswith("tomb/"))]
    for moment in (*range(0, marked, 9), *range(marked, counted.count)):
        backend, fired = copy_of(damaged), []

        def before(
            number: int,
            moment: int = moment,
            backend: Backend = backend,
            fired: list[int] = fired,
        ) -> None:
            if number == moment:
                fired.append(number)
                with Store.on(backend) as writer:
                    for epoch, given in ((11, (KEY, 3)), (12, (OTHER_KEY, 1)), (13, (KEY, 1))):
                        writer.save(OTHER_KEY, epoch, states[given], {"epoch": epoch})

        Store.on(WrappedBackend(backend, before)).repair()
        more = states | {
            (OTHER_KEY, 11): states[KEY, 3],
            (OTHER_KEY, 12): states[OTHER_KEY, 1],
            (OTHER_KEY, 13): states[KEY, 1],
        }
        rest = {name: state for name, state in more.items() if name not in lost}
        assert lost_checkpoints(backend, rest) == set(), moment
        assert fired
        if moment % 3 == 0:
            Store.on(backend).repair()
            assert_mended(backend, more, lost)


def test_a_repair_between_any_two_operations_of_a_writer_and_a_reader() -> None:
    damaged = MemoryBackend()
    states = make_trained(damaged)
    save_twice(damaged, states)
    with Store.on(damaged) as store:
        damage(damaged, chain_of(store, KEY, 3, "noise")[0])
    assert damaged_checkpoints(damaged) == {(KEY, 3)}  # others need other blobs of its pack
    moment = 0
    for moment in range(10_000):
        backend, fired = copy_of(damaged), []

        def before(
            number: int,
            moment: int = moment,
            backend: Backend = backend,
            fired: list[int] = fired,
        ) -> None:
            if number == moment:
                fired.append(number)
                assert Store.on(backend).repair().moved >= 3

        with Store.on(WrappedBackend(backend, before)) as store:
            store.save(OTHER_KEY, 11, states[KEY, 3], {"epoch": 11})
            for epoch in (4, 5):
                assert_equal(store.restore(KEY, epoch, threads=1), states[KEY, epoch])
            assert_equal(store.restore(OTHER_KEY, 11, threads=1), states[KEY, 3])
        if not fired:
            break
        Store.on(backend).repair()
        assert damaged_checkpoints(backend, "restore") is None
    assert moment > 60


def test_a_damaged_pack_waits_for_the_track_that_relies_on_it() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    with Store.on(backend) as store, store.track(codec="small") as track:
        for epoch in (1, 2):
            states[THIRD_KEY, epoch] = trained(3, epoch)
            store.save(THIRD_KEY, epoch, trained(3, epoch), {"epoch": epoch}, track=track)
        chain = chain_of(store, THIRD_KEY, 2, "line")
        damage_table(backend, chain[1].pack)
        writes: list[str] = []
        report = Store.on(Recording(backend, writes)).repair()
        assert report.waiting == (chain[1].pack,)
        # What is needed is not even marked: marked packs are not to be relied upon.
        assert not [name for name in writes if name.startswith(Layout.TOMBS)]
        assert report.repaired == ((THIRD_KEY, 1), (THIRD_KEY, 2))
        # The track does not know and refers to that pack once more.
        states[THIRD_KEY, 3] = trained(3, 3)
        store.save(THIRD_KEY, 3, trained(3, 3), {"epoch": 3}, track=track)
        assert chain[1] in chain_of(store, THIRD_KEY, 3, "line")
        assert Store.on(backend).repair().repaired == ((THIRD_KEY, 3),)
    assert Store.on(backend).repair().quarantined
    assert_mended(backend, states, set())


def test_repair_and_collection_exclude_each_other() -> None:
    backend = MemoryBackend()
    make_trained(backend)
    owner = Ownership(backend)
    with pytest.raises(StoreError, match="is collecting"):
        Store.on(backend).repair()
    assert not Store.on(backend).repair(dry_run=True).quarantined
    owner.release()

    def before(number: int) -> None:
        if number == 20:
            with pytest.raises(StoreError, match="is collecting"):
                Store.on(backend).collect()
            seen.append(number)

    seen: list[int] = []
    Store.on(WrappedBackend(backend, before)).repair()
    assert seen == [20]


def test_unreadable_leases_go_on_request() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    name = pin(backend, [new_ulid()]).name
    flip(backend, name, 99)
    with Store.on(backend) as store:
        pack = chain_of(store, KEY, 5, "line")[0].pack
        damage_table(backend, pack)
        with pytest.raises(StoreDamagedError, match="lease"):
            store.collect()
        report = store.repair()
        assert report.leases == (name,)
        # Whether a live process relies on that pack is not known.
        assert (report.waiting, report.repaired) == ((pack,), ((KEY, 5),))
        assert store.repair(dry_run=True, leases=True).leases == ()
        assert names(backend, Layout.LEASES) == {name}
        report = store.repair(leases=True)
        assert report.leases == report.waiting == ()
        assert f"lost/{name}" in report.quarantined
        assert f"lost/{Layout.pack(pack)}" in report.quarantined
    assert_mended(backend, states, set())


def test_what_a_newer_version_wrote_is_left_alone() -> None:
    backend = MemoryBackend()
    make_trained(backend)
    with Store.on(backend) as store:
        flip(backend, store.read(KEY, 2).ref, 99)
        name = Layout.manifest(KEY, 6, new_ulid()).ref
        backend.put_create(name, [frame(MAGIC, {"v": 99})])
        before = content(backend)
        with pytest.raises(StoreError, match="newer format"):
            store.repair()
        with pytest.raises(StoreDamagedError, match="newer format"):
            store.quarantine(KEY, 6)
        assert content(backend) == before
        assert {p.kind for p in store.verify().problems} == {"manifest", "unreadable"}


def test_what_cannot_be_read_for_another_reason_is_left_alone(tmp_path: Path) -> None:
    class Failing(LocalBackend):
        def read_into(self, name: str, start: int, buffer: memoryview) -> int:
            if name.startswith(Layout.PACKS):
                raise StoreError(f"cannot read {name}: Input/output error")
            return super().read_into(name, start, buffer)

    with Store.open(tmp_path) as store:
        store.save(KEY, 1, make_state(1), {})
    before = content(LocalBackend(tmp_path))
    with pytest.raises(StoreError, match="cannot be repaired while cannot read packs/"):
        Store.on(Failing(tmp_path)).repair()
    assert content(LocalBackend(tmp_path)) == before


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("hurt", [damage, lambda b, p: damage_table(b, p.pack)])
def test_a_quarantined_epoch_is_saved_anew(
    fresh: bool, hurt: Callable[[Backend, Place], None]
) -> None:
    backend = MemoryBackend()
    store = Store.on(backend)
    for epoch in (1, 2):
        store.save(KEY, epoch, make_state(epoch), {"epoch": epoch})
    place = store.read(KEY, 2).parts["model"].tensors["items"].blocks[0][0]
    hurt(backend, place)
    if fresh:
        store.close()
        store = Store.on(backend)
    assert store.quarantine(KEY, 1) == []
    ref = store.read(KEY, 2).ref
    assert store.quarantine(KEY, 2) == [f"lost/{ref}"]
    assert store.epochs(KEY) == [1]
    assert store.quarantine(KEY, 2) == []
    store.save(KEY, 2, make_state(2), {"epoch": 2})
    assert place not in store.read(KEY, 2).places
    states = {(KEY, epoch): make_state(epoch) for epoch in (1, 2)}
    assert lost_checkpoints(backend, states) == set()
    # What is whole is still shared, and what is damaged is found out only once.
    assert store.save(OTHER_KEY, 2, make_state(2), {"epoch": 2}).stored_bytes < 1500
    store.close()


def test_a_damaged_manifest_is_quarantined() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    with Store.on(backend) as store:
        store.adopt(KEY, 3, {"epoch": 3, "owner": "another"})
        ref = store.read(KEY, 3).ref
        flip(backend, ref, 99)
        assert store.quarantine(KEY, 3) == [f"lost/{ref}"]
        assert store.read(KEY, 3).info["owner"] == "another"
    assert lost_checkpoints(backend, states) == set()


def test_damage_does_not_spread_to_new_checkpoints() -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    with Store.on(backend) as store:
        damage(backend, chain_of(store, KEY, 4, "walk")[2])
        with Store.on(backend) as writer:
            writer.save(THIRD_KEY, 1, states[KEY, 4], {"epoch": 1})
        assert_equal(store.restore(THIRD_KEY, 1), states[KEY, 4])
        assert (KEY, 4) in (damaged_checkpoints(backend) or ())
        # And what is written then is the copy that the repair needs.
        assert (KEY, 4) in store.repair().repaired


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**9)), max_size=12), st.booleans()
)
def test_any_damage_is_mended_or_set_aside(flips: list[tuple[int, int]], twice: bool) -> None:
    backend = MemoryBackend()
    states = make_trained(backend)
    if twice:
        save_twice(backend, states)
    targets = sorted(name for name in names(backend, "") if name != Layout.FORMAT)
    for file, bit in flips:
        name = targets[file % len(targets)]
        flip(backend, name, bit % (8 * len(backend.get(name))))
    before = lost_checkpoints(backend, states)
    assert (damaged_checkpoints(backend) or set()) == before
    report = Store.on(backend).repair()
    lost = {hit[:2] for hit in report.lost}
    assert lost | set(report.repaired) == before
    assert_mended(backend, states, lost)


def test_a_store_of_the_first_format_is_repaired() -> None:
    backend, disk = MemoryBackend(), LocalBackend(FIXTURES / "format-1")
    for name in names(disk, ""):
        backend.put_create(name, [disk.get(name)])
    with Store.on(backend) as store:
        keys = store.keys()
        states = {(k, e): store.restore(k, e) for k in keys for e in store.epochs(k)}
    before = content(backend, Layout.INDEX)
    for name in before:
        backend.delete(name)
    with Store.on(backend) as store:
        assert store.repair().hints == tuple(sorted(before))
        assert content(backend, Layout.INDEX) == before
        assert store.verify("restore").problems == ()
        for pack in tables(backend):
            damage_table(backend, pack)
        report = store.repair()
        assert (set(report.repaired), report.lost) == (states.keys(), ())
    for (key, epoch), state in states.items():
        with Store.on(backend) as store:
            assert_equal(store.restore(key, epoch), state)
    assert damaged_checkpoints(backend, "restore") is None
