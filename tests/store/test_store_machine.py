"""Any sequence of operations by several processes leaves the store equal to a dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from store_tools import (
    DTYPES,
    KEY,
    OTHER_KEY,
    any_bits,
    assert_equal,
    assert_no_garbage,
    changed,
    drop,
)

from recsearch.errors import CheckpointNotFoundError, StoreError
from recsearch.state import Part, State
from recsearch.store import BestAndLast, Manifest, Record, Store, index, manifest, series
from recsearch.store.backend import Entry
from recsearch.store.memory import MemoryBackend
from recsearch.store.restoring import restore_state
from recsearch.store.track import Track

KEYS = st.sampled_from([KEY, OTHER_KEY])
EPOCHS = st.integers(1, 40)
PICKS = st.integers(0, 10**6)
SEEDS = st.integers(0, 2**32 - 1)
SLOTS = st.integers(0, 1)
CHANGES = ("line",) * 4 + ("rows",) * 3 + ("none", "all", "back", "shape", "less", "less")
ENDS = ("commit",) * 4 + ("abandon", "late", "late", "alone", "alone", "fail", "again")
"""How a save ends: ``late`` commits after all else was dropped and collected, ``alone`` is what
stays after that, ``fail`` cannot write, ``again`` is committed where something is stored."""
STEPS = st.tuples(st.sampled_from(CHANGES), st.sampled_from(ENDS), SEEDS)


class ShuffledBackend(MemoryBackend):
    """Lists in no particular order; writes can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.fail_after: int | None = None
        self._rng = np.random.default_rng(0)

    def list(self, prefix: str) -> Iterator[Entry]:
        entries = list(super().list(prefix))
        self._rng.shuffle(entries)
        return iter(entries)

    def put_create(self, name, chunks, *, durable: bool = True) -> int:
        if self.fail_after is not None:
            self.fail_after -= 1
            if self.fail_after < 0:
                raise StoreError(f"cannot write {name}: the medium is full")
        return super().put_create(name, chunks, durable=durable)


def new_tables(rng: np.random.Generator) -> dict[str, np.ndarray]:
    dtype = str(rng.choice(DTYPES))
    points = (1 + rng.integers(0, 2**21, (100, 4)) / 2**23).astype("<f4")
    return {"any": any_bits(rng, dtype, (int(rng.integers(1, 40)), 3)), "points": points}


def state_of(tables: dict[str, np.ndarray]) -> dict[str, Part]:
    copies = {name: table.copy() for name, table in tables.items()}
    words = Part({"ids": np.arange(20)}, constant=True)
    return {"m": Part(copies, {"rows": len(tables["any"])}), "words": words}


class Trainer:
    """Tables that change, and the track that saves them in one of the processes."""

    def __init__(self, store: Store, track: Track, tables: dict[str, np.ndarray]):
        self.store, self.track, self.tables = store, track, tables
        self.past = [tables]

    def step(self, change: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Change the tables; the numbers of the rows that did (and of some that did not)."""
        old = self.tables
        if change == "none":
            self.tables = dict(old)
        elif change == "less":
            self.tables = {"any": old["any"]}
        elif change == "back":
            self.tables = self.past[int(rng.integers(len(self.past)))]
        elif change == "shape":
            self.tables = new_tables(rng)
        elif "points" not in old:
            points = [t["points"] for t in self.past if "points" in t]
            self.tables = {**old, "points": [new_tables(rng)["points"], *points][-1]}
        elif change == "line":
            speed = np.random.default_rng(4).integers(0, 2**11, (100, 4)) / np.float32(2**23)
            with np.errstate(all="ignore"):
                self.tables = {**old, "points": (old["points"] + speed).astype("<f4")}
        else:
            some = change == "rows"
            self.tables = {
                name: changed(rng, table, _some(rng, len(table)) if some else np.arange(len(table)))
                for name, table in old.items()
            }
        self.past.append(self.tables)
        return {
            name: _hint(rng, old.get(name), table)
            for name, table in self.tables.items()
            if rng.random() < 0.7
        }


def _some(rng: np.random.Generator, rows: int) -> np.ndarray:
    return rng.choice(rows, int(rng.integers(0, rows // 2 + 1)), replace=False)


def _hint(rng: np.random.Generator, old: np.ndarray | None, new: np.ndarray) -> np.ndarray:
    """In any order, with duplicates, and more than necessary."""
    if old is None or (old.dtype, old.shape) != (new.dtype, new.shape):
        return rng.integers(0, len(new), 3)
    differ = np.flatnonzero([a.tobytes() != b.tobytes() for a, b in zip(old, new, strict=True)])
    return rng.permutation(np.concatenate([differ, differ, rng.integers(0, len(new), 2)]))


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(manifest, "BLOCK_BYTES", 512)
        self.patch.setattr(series, "MAX_PATCHES", 4)
        self.patch.setattr(series, "MAX_CHAIN", 3)
        self.patch.setattr(index, "REFRESH_S", 0.0)
        self.backend = ShuffledBackend()
        self.stores = [Store.on(self.backend) for _ in range(2)]
        self.trainers: dict[int, Trainer] = {}
        self.model: dict[tuple[str, int], dict[str, dict[str, Part]]] = {}
        self.held: list[tuple[ExitStack, Manifest, dict[str, Part]]] = []
        self.turn = 0
        for slot, codec in enumerate(("small", "fast")):
            self.begin(slot, 0, codec, slot, 1.0, 0, False, False)

    def pick(self, number: int) -> tuple[str, int]:
        """A stored checkpoint, if there is any."""
        there = sorted(self.model)
        return there[number % len(there)] if there else (KEY, 1)

    def content(self, key: str, epoch: int) -> dict[str, Part] | None:
        owners = self.model.get((key, epoch), {})
        return next(iter(owners.values()), None)

    @rule(
        slot=SLOTS, process=SLOTS, codec=st.sampled_from(["small", "small", "fast"]), seed=SEEDS,
        rho=st.sampled_from([0.3, 1.0, 5.0]), pick=PICKS, resume=st.booleans(), close=st.booleans(),
    )  # fmt: skip
    def begin(self, slot, process, codec, seed, rho, pick, resume, close) -> None:
        """A trainer starts, or goes on from a stored checkpoint; the one before may have died."""
        old = self.trainers.pop(slot, None)
        if old is not None and close:
            old.track.close()
        store, address = self.stores[process], self.pick(pick)
        known = self.content(*address) if resume else None
        if known is None:
            track = store.track(codec=codec, rho=rho)
            tables = new_tables(np.random.default_rng(seed))
        else:
            track = store.track(codec=codec, rho=rho, after=store.read(*address))
            tables = {name: array.copy() for name, array in known["m"].tensors.items()}
        self.trainers[slot] = Trainer(store, track, tables)

    @precondition(lambda self: self.trainers)
    @rule(slot=SLOTS, key=KEYS, owner=st.sampled_from("pq"), steps=st.lists(STEPS, min_size=2))
    def save(self, slot: int, key: str, owner: str, steps: list[tuple]) -> None:
        trainer = self.trainers.get(slot) or next(iter(self.trainers.values()))
        for change, end, seed in steps:
            touched = trainer.step(change, np.random.default_rng(seed))
            expected = state_of(trainer.tables)
            live = {**expected, "m": Part(trainer.tables, expected["m"].values, touched=touched)}
            address = (key, 1 + seed % 40) if end != "again" else self.pick(seed)
            self.backend.fail_after = seed % 5 if end == "fail" else None
            try:
                self.end(trainer, live, *address, end, owner)
            finally:
                trainer.store._saver._thread.submit(int).result()
                self.backend.fail_after = None

    def end(self, trainer: Trainer, state: State, key: str, epoch: int, end: str, owner: str):
        expected = state_of(trainer.tables)
        staged, known = trainer.track.stage(state), self.content(key, epoch)
        staged._future.exception()
        if end == "abandon":
            staged.abandon()
            return
        if end == "late":
            self.clear()
            known = self.content(key, epoch)
        try:
            staged.commit(key, epoch, {"owner": owner})
        except StoreError as error:
            staged.abandon()
            if "another content" not in error.message:
                assert end == "fail"
                return
            with pytest.raises(AssertionError):
                assert_equal(known or {}, expected)
        else:
            self.model.setdefault((key, epoch), {}).setdefault(owner, expected)
        if end == "alone":
            self.clear((key, epoch))

    def clear(self, *kept: tuple[str, int]) -> None:
        """Drop and collect all that is not pinned."""
        for key in (KEY, OTHER_KEY):
            self.prune(key, {e for k, e in self.model if k == key and (k, e) not in kept}, None, 1)
        self.collect(1, 0)

    @rule(key=KEYS, epoch=EPOCHS, seed=st.integers(0, 2), process=SLOTS)
    def save_once(self, key: str, epoch: int, seed: int, process: int) -> None:
        state, known = state_of(new_tables(np.random.default_rng(seed))), self.content(key, epoch)
        if known is None:
            self.stores[process].save(key, epoch, state, {"owner": "p"})
            self.model[key, epoch] = {"p": state}

    @rule(pick=PICKS, owner=st.sampled_from(["pin:a", "pin:b"]), process=SLOTS)
    def adopt(self, pick: int, owner: str, process: int) -> None:
        info, address = {"owner": owner, "retention": "all"}, self.pick(pick)
        known = self.content(*address)
        if known is None:
            with pytest.raises(CheckpointNotFoundError):
                self.stores[process].adopt(*address, info)
        else:
            self.stores[process].adopt(*address, info)
            self.model[address][owner] = known

    @rule(picks=st.sets(PICKS), owner=st.sampled_from([None, "p", "q"]), process=SLOTS)
    def prune_some(self, picks: set[int], owner: str | None, process: int) -> None:
        addresses = {self.pick(number) for number in picks}
        for key in (KEY, OTHER_KEY):
            self.prune(key, {epoch for k, epoch in addresses if k == key}, owner, process)

    @rule(key=KEYS, process=SLOTS)
    def prune_all(self, key: str, process: int) -> None:
        self.prune(key, {epoch for k, epoch in self.model if k == key}, None, process)

    def prune(self, key: str, epochs: set[int], owner: str | None, process: int) -> None:
        expected = set()
        for (k, epoch), owners in list(self.model.items()):
            gone = {o for o in owners if not o.startswith("pin") and owner in (None, o)}
            if k == key and epoch in epochs and gone:
                expected.add(epoch)
                for name in gone:
                    del owners[name]
                if not owners:
                    del self.model[k, epoch]
        assert drop(self.stores[process], *epochs, key=key, owner=owner) == sorted(expected)

    @rule(key=KEYS, best=st.integers(0, 2), last=st.integers(0, 2), known=st.sets(EPOCHS))
    def retain(self, key: str, best: int, last: int, known: set[int]) -> None:
        policy = BestAndLast("max", best, last)
        records = [Record(epoch, float(epoch % 3)) for epoch in known]
        self.prune(key, known - policy.keep(records), None, 0)

    @rule(process=SLOTS, grace=st.sampled_from([0, 0, 600]))
    def collect(self, process: int, grace: int) -> None:
        self.stores[process].collect(grace_s=grace)
        self.check_all()

    @rule(process=SLOTS)
    def reopen(self, process: int) -> None:
        """Its trainers die: their pins stay until they expire."""
        store = self.stores[process]
        self.trainers = {n: t for n, t in self.trainers.items() if t.store is not store}
        store.close()
        self.stores[process] = Store.on(self.backend)

    @rule(pick=PICKS, process=SLOTS)
    def hold(self, pick: int, process: int) -> None:
        known = self.content(*self.pick(pick))
        if known is not None and len(self.held) < 2:
            stack = ExitStack()
            found = stack.enter_context(self.stores[process].hold(*self.pick(pick)))
            self.held.append((stack, found, known))

    @precondition(lambda self: self.held)
    @rule()
    def release(self) -> None:
        stack, found, known = self.held.pop()
        with Store.on(self.backend) as store:
            assert_equal(restore_state(store._source, found), known)
        stack.close()

    @rule(pick=PICKS, seed=SEEDS, process=SLOTS)
    def read_rows(self, pick: int, seed: int, process: int) -> None:
        key, epoch = self.pick(pick)
        known, store = self.content(key, epoch), self.stores[process]
        if known is None:
            with pytest.raises(CheckpointNotFoundError):
                store.read_rows(key, epoch, "m", "any", [0])
            return
        table, rng = known["m"].tensors["any"], np.random.default_rng(seed)
        rows = rng.integers(-len(table), len(table), int(rng.integers(0, 9)))
        found = store.read_rows(key, epoch, "m", "any", rows)
        assert found.tobytes() == table[rows].tobytes()

    @invariant()
    def lists_the_model(self) -> None:
        assert self.stores[0].keys() == sorted({key for key, _ in self.model})
        for key in (KEY, OTHER_KEY):
            assert self.stores[1].epochs(key) == sorted(e for k, e in self.model if k == key)

    @invariant()
    def restores_one(self) -> None:
        self.turn += 1
        if self.model:
            self.check(sorted(self.model)[self.turn % len(self.model)])

    def check(self, address: tuple[str, int]) -> None:
        (one, *others) = self.model[address].values()
        found = self.stores[self.turn % 2].restore(*address, threads=1)
        for state in (one, *others):
            assert_equal(found, state)

    def check_all(self) -> None:
        for address in self.model:
            self.check(address)

    def teardown(self) -> None:
        for stack, _, _ in self.held:
            stack.close()
        for trainer in self.trainers.values():
            trainer.track.close()
        for store in self.stores:
            store.close()
        for lease in list(self.backend.list("leases/")):
            self.backend.delete(lease.name)  # of the trainers that have died
        with Store.on(self.backend) as store:
            store.collect(grace_s=0)
            store.collect(grace_s=0)
            self.stores = [store, store]
            self.check_all()
            assert store.verify().problems == ()
        assert_no_garbage(self.backend)
        self.patch.undo()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
