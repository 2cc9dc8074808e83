"""Listings that lag behind: what holds within the grace period, and that it is needed.

Single objects are fresh here, only listings show the past: `World` keeps it all, on a clock of its
own. Local disk, S3, Google Cloud Storage and Azure list without a lag.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest
from fault_tools import FaultyBackend, World
from store_tools import KEY, live_packs, make_state, names

from recsearch.errors import StoreError
from recsearch.store import BestAndLast, Record, Store, collect, lease
from recsearch.store.layout import Layout

LAST = BestAndLast("min", 0, 1)
LAG_S, STAGED_S, DELAY_S = 5.0, 2.0, 0.05


def records(*epochs: int) -> list[Record]:
    return [Record(epoch, None) for epoch in epochs]


@contextmanager
def on_clock(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    clock = SimpleNamespace(time=lambda: world.now, monotonic=lambda: world.now)
    with monkeypatch.context() as patch:
        patch.setattr(collect, "time", clock)
        patch.setattr(lease, "time", clock)
        yield


def lagging_run(seed: int, grace_s: float, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Save, retain and collect under listings that lag by up to ``LAG_S``; returns packs lost.

    A save takes less than ``STAGED_S`` from its pin to its manifest.
    """
    rng = random.Random(seed)  # noqa: S311
    world = World()
    collector = Store.on(world.backend(lambda prefix: rng.choice((0.0, LAG_S))))

    def between(verb: str, name: str) -> None:
        world.now += rng.uniform(0, DELAY_S)
        if rng.random() < 0.3:
            with suppress(StoreError):  # another collection is going on, as far as it can see
                collector.collect(grace_s=grace_s)

    with on_clock(world, monkeypatch):
        writer = Store.on(FaultyBackend(world.backend(), between))
        for epoch in range(1, 9):
            # Every other state comes again after it was dropped: its pack is about to go.
            writer.save(KEY, epoch, make_state(epoch % 2), {})
            writer.retain(KEY, LAST, records(epoch - 1, epoch))
            world.now += rng.uniform(0, grace_s)
        world.now += LAG_S
        # Without moving blobs: what a collection writes is as new to it as what others write.
        collector.collect(grace_s=0, max_waste=float("inf"))
        writer.close()
    backend = world.backend()
    return live_packs(backend) - names(backend, Layout.PACKS)


def test_lagging_listings_lose_nothing_within_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(40):
        assert not lagging_run(seed, LAG_S + STAGED_S, monkeypatch)


def test_lagging_listings_need_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    assert any(lagging_run(seed, 0.0, monkeypatch) for seed in range(60))


def test_a_tombstone_made_anew_is_not_taken_for_an_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    lagging = Store.on(world.backend(lambda prefix: LAG_S if prefix == Layout.TOMBS else 0.0))
    backend = world.backend()
    with Store.on(backend) as store, on_clock(world, monkeypatch):
        store.save(KEY, 1, make_state(1), {})
        (pack,) = store.read(KEY, 1).packs
        backend.put_create(Layout.tomb(pack), [])
        world.now += 100
        store.collect(grace_s=50)  # the pack is needed, and so the tombstone goes
        store.retain(KEY, LAST, records(1, 2))
        store.collect(grace_s=50)
        assert backend.head(Layout.tomb(pack)) is not None
        lagging.collect(grace_s=50)
        assert backend.head(Layout.pack(pack)) is not None
        world.now += 60
        lagging.collect(grace_s=50)
        assert names(backend, Layout.PACKS) == names(backend, Layout.TOMBS) == set()
