"""Any sequence of operations leaves the store equal to a dictionary."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from store_tools import KEY, OTHER_KEY, assert_equal, assert_no_garbage, make_state

from recsearch.errors import CheckpointNotFoundError, StoreError
from recsearch.store import BestAndLast, Record, Store
from recsearch.store.memory import MemoryBackend

KEYS = st.sampled_from([KEY, OTHER_KEY])
EPOCHS = st.integers(1, 5)
SEEDS = st.integers(0, 3)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.backend = MemoryBackend()
        self.store = Store.on(self.backend)
        self.model: dict[tuple[str, int], int] = {}

    @rule(key=KEYS, epoch=EPOCHS, seed=SEEDS)
    def save(self, key: str, epoch: int, seed: int) -> None:
        known = self.model.get((key, epoch))
        if known is None or known == seed:
            saved = self.store.save(key, epoch, make_state(seed), {"seed": seed})
            assert (saved.stored_bytes == 0) == (known is not None)
            self.model[key, epoch] = seed
        else:
            with pytest.raises(StoreError, match="another content"):
                self.store.save(key, epoch, make_state(seed), {})

    @rule(seed=SEEDS)
    def abandon(self, seed: int) -> None:
        staged = self.store.stage(make_state(seed))
        staged._future.result()
        staged.abandon()

    @rule(key=KEYS, best=st.integers(0, 2), last=st.integers(0, 2), known=st.sets(EPOCHS))
    def retain(self, key: str, best: int, last: int, known: set[int]) -> None:
        policy = BestAndLast("max", best, last)
        records = [Record(epoch, float(epoch % 3)) for epoch in known]
        there = {epoch for k, epoch in self.model if k == key}
        expected = (known - policy.keep(records)) & there
        assert self.store.retain(key, policy, records) == sorted(expected)
        for epoch in expected:
            del self.model[key, epoch]

    @rule(grace=st.sampled_from([0, 600]))
    def collect(self, grace: int) -> None:
        self.store.collect(grace_s=grace)
        if not grace:
            assert_no_garbage(self.backend)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.on(self.backend)

    @rule(key=KEYS, epoch=EPOCHS)
    def read(self, key: str, epoch: int) -> None:
        if (key, epoch) in self.model:
            assert self.store.read(key, epoch).info == {"seed": self.model[key, epoch]}
        else:
            with pytest.raises(CheckpointNotFoundError):
                self.store.restore(key, epoch)

    @invariant()
    def equals_the_model(self) -> None:
        assert self.store.keys() == sorted({key for key, _ in self.model})
        for key in (KEY, OTHER_KEY):
            assert self.store.epochs(key) == sorted(e for k, e in self.model if k == key)
        for (key, epoch), seed in self.model.items():
            assert_equal(self.store.restore(key, epoch), make_state(seed))

    def teardown(self) -> None:
        assert self.store.verify().problems == ()
        self.store.close()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
