"""One story on every backend, and on one that fails, loses replies, tears reads and lags."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fault_tools import FaultyBackend, FaultyProxy, retry_quickly, s3_server, s3_url
from fsspec.implementations.local import LocalFileSystem
from store_tools import KEY, OTHER_KEY, assert_equal, later, live_packs, make_state, names

from recsearch.errors import StoreError
from recsearch.state import Part
from recsearch.store import BestAndLast, Record, Store, lease
from recsearch.store.backend import Backend, open_backend
from recsearch.store.layout import Layout, new_ulid
from recsearch.store.memory import MemoryBackend

LAST = BestAndLast("min", 0, 1)


def records(*epochs: int) -> list[Record]:
    return [Record(epoch, None) for epoch in epochs]


@pytest.fixture(params=["local", "memory", "filesystem", "s3", "s3 that loses replies"])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    retry_quickly(monkeypatch)
    if request.param == "local":
        yield str(tmp_path / "store")
    elif request.param == "memory":
        yield f"memory://story/{new_ulid()}"
    elif request.param == "filesystem":
        fsspec.register_implementation("renaming", LocalFileSystem, clobber=True)
        monkeypatch.setattr(LocalFileSystem, "protocol", ("renaming", "file", "local"))
        yield f"renaming://{tmp_path}/store"
    elif request.param == "s3":
        yield s3_url()
    else:
        lost: set[str] = set()

        def decide(method: str, path: str) -> str | None:
            if method != "PUT" or path in lost:
                return None
            lost.add(path)
            return "lose"

        with FaultyProxy(s3_server(), decide) as proxy:
            yield s3_url(proxy.address)


def test_save_restore_retain_collect_verify(url: str) -> None:
    backend = open_backend(url)
    with Store.open(url) as store, store.track() as track:
        for epoch in range(1, 5):
            store.save(KEY, epoch, make_state(epoch), {"epoch": epoch}, track=track)
        assert store.epochs(KEY) == [1, 2, 3, 4]
        saved = store.save(OTHER_KEY, 1, make_state(4), {})
        assert saved.stored_bytes < saved.logical_bytes
        assert store.verify().problems == ()
        assert store.retain(KEY, LAST, records(1, 2, 3)) == [1, 2]
    with Store.open(url, create=False) as other:
        other.collect(grace_s=0)
        other.collect(grace_s=0)
        assert names(backend, Layout.PACKS) == live_packs(backend)
        assert names(backend, Layout.TOMBS) == names(backend, Layout.LEASES) == set()
        assert {key: other.epochs(key) for key in other.keys()}  # noqa: SIM118 == {KEY: [3, 4], OTHER_KEY: [1]}
        for key, epoch, seed in ((KEY, 3, 3), (KEY, 4, 4), (OTHER_KEY, 1, 4)):
            assert_equal(other.restore(key, epoch), make_state(seed))
        into = {
            "model": Part({n: np.zeros_like(a) for n, a in make_state(3)["model"].tensors.items()})
        }
        other.restore(KEY, 3, into=into)
        assert (
            into["model"].tensors["items"].tobytes()
            == make_state(3)["model"].tensors["items"].tobytes()
        )
        rows = other.read_rows(KEY, 4, "model", "items", [7, 3, 7])
        assert rows.tobytes() == make_state(4)["model"].tensors["items"][[7, 3, 7]].tobytes()
        assert other.verify().problems == ()


def test_two_open_an_empty_place_at_once(url: str) -> None:
    stores = [Store.open(url) for _ in range(2)]
    stores[0].save(KEY, 1, make_state(1), {})
    assert_equal(stores[1].restore(KEY, 1), make_state(1))
    for store in stores:
        store.close()


PLAN = {(KEY, 1): 1, (KEY, 2): 2, (OTHER_KEY, 1): 2, (KEY, 3): 3}
"""The seed of each state that the story below saves."""


def attempt(task: Callable[[], object]) -> bool:
    try:
        task()
    except StoreError:
        return False
    return True


def play(backend: Backend) -> set[tuple[str, int]]:
    """Save, retain and collect; what fails is tried a second time. Returns what was acknowledged.

    A single fault may fail one attempt to save, but never the second.
    """
    acknowledged = set()
    opened: list[Store] = []
    for _ in range(2):
        attempt(lambda: opened.append(Store.on(backend)))
    store = opened[0]
    for key, epoch in PLAN:
        state = make_state(PLAN[key, epoch])

        def save(key: str = key, epoch: int = epoch, state: dict[str, Part] = state) -> None:
            store.save(key, epoch, state, {})

        assert attempt(save) or attempt(save)
        acknowledged.add((key, epoch))
        if (key, epoch) == (KEY, 2):
            acknowledged.discard((KEY, 1))
            attempt(lambda: store.retain(KEY, LAST, records(1, 2)))
        attempt(lambda: store.collect(grace_s=0))
    attempt(store.close)
    return acknowledged


def check(
    inner: Backend, acknowledged: set[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was acknowledged restores, what is visible too, and garbage goes."""
    with Store.on(inner) as store:
        for collected in (False, True):
            if collected:
                with monkeypatch.context() as patch:
                    patch.setattr(lease, "time", later(2 * lease.PIN_S))
                    store.collect(grace_s=0)
                    store.collect(grace_s=0)
                assert names(inner, Layout.PACKS) == live_packs(inner)
                assert names(inner, Layout.TOMBS) == names(inner, Layout.LEASES) == set()
            there = {(key, epoch) for key in store.keys() for epoch in store.epochs(key)}  # noqa: SIM118
            assert acknowledged <= there
            for key, epoch in there:
                assert_equal(store.restore(key, epoch), make_state(PLAN[key, epoch]))
            assert store.verify().problems == ()


@pytest.mark.parametrize("fault", ["fail", "lose"])
def test_any_operation_may_fail_once(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in itertools.count():
        inner, calls = MemoryBackend(), itertools.count()
        fired = []

        def decide(verb: str, name: str, calls: Iterator[int] = calls) -> str | None:
            if fault == "lose" and verb not in ("put", "delete"):
                return None
            if next(calls) != number:  # noqa: B023
                return None
            fired.append(name)  # noqa: B023
            return fault

        acknowledged = play(FaultyBackend(inner, decide))
        check(inner, acknowledged, monkeypatch)
        if not fired:
            break
    assert number > 20


@pytest.mark.parametrize("fault", ["tear", "flip"])
def test_any_read_may_be_torn(fault: str) -> None:
    inner, refused = MemoryBackend(), 0
    play(inner)
    for number in itertools.count():
        calls = itertools.count()
        fired = []

        def decide(verb: str, name: str, calls: Iterator[int] = calls) -> str | None:
            if verb != "read" or next(calls) != number:  # noqa: B023
                return None
            fired.append(name)  # noqa: B023
            return fault

        def read_all(decide: Callable[[str, str], str | None] = decide) -> None:
            with Store.on(FaultyBackend(inner, decide)) as store:
                for key, epoch in [(KEY, 2), (KEY, 3), (OTHER_KEY, 1)]:
                    assert_equal(store.restore(key, epoch), make_state(PLAN[key, epoch]))

        # Right or refused; some reads return more than is used of them.
        refused += not attempt(read_all)
        if not fired:
            break
        read_all(lambda verb, name: None)
    assert refused > number // 2 > 5


def test_a_collection_while_any_put_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in itertools.count():
        inner, calls = MemoryBackend(), itertools.count()
        fired = []

        def decide(verb: str, name: str, calls: Iterator[int] = calls) -> None:
            if verb == "put" and next(calls) == number:  # noqa: B023
                fired.append(name)  # noqa: B023
                if name != Layout.FORMAT:
                    for _ in range(2):
                        attempt(lambda: Store.on(inner).collect(grace_s=0))  # noqa: B023

        acknowledged = play(FaultyBackend(inner, decide))
        check(inner, acknowledged, monkeypatch)
        if not fired:
            break
    assert number > 15
