"""Which epochs stay: known answers, properties, and what retain refuses to drop."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_tools import KEY, make_state

from recsearch.errors import UsageError
from recsearch.store import All, AnyOf, BestAndLast, Record, Store, parse_policy
from recsearch.store.memory import MemoryBackend

NAN, INF = math.nan, math.inf
RECORDS = st.lists(
    st.builds(Record, st.integers(1, 20), st.none() | st.floats()), unique_by=lambda r: r.epoch
)


def records(*values: float | None) -> list[Record]:
    return [Record(epoch, value) for epoch, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("policy", "values", "kept"),
    [
        (BestAndLast("min"), (3, 1, 2), {2, 3}),
        (BestAndLast("max"), (3, 1, 2), {1, 3}),
        (BestAndLast("min"), (1, 1, 1), {1, 3}),
        (BestAndLast("max", best=2, last=0), (5, 7, 7, 6), {2, 3}),
        (BestAndLast("max", best=1, last=0), (NAN, INF, None, 0), {4}),
        (BestAndLast("min"), (NAN, -INF), {2}),
        (BestAndLast("min", best=0, last=2), (1, 2, 3), {2, 3}),
        (BestAndLast("min"), (), set()),
        (All(), (1, NAN), {1, 2}),
        (AnyOf((BestAndLast("min", 1, 0), BestAndLast("max", 1, 0))), (2, 1, 3), {2, 3}),
        (AnyOf(()), (1,), set()),
    ],
)
def test_known_answers(policy, values, kept) -> None:
    assert policy.keep(records(*values)) == kept


@given(RECORDS, st.integers(0, 4), st.integers(0, 4), st.sampled_from(["min", "max"]), st.randoms())
def test_properties(found, best, last, direction, random) -> None:
    policy = BestAndLast(direction, best, last)
    kept = policy.keep(found)
    shuffled = random.sample(found, len(found))
    assert policy.keep(shuffled) == kept
    assert kept <= {record.epoch for record in found}
    assert len(kept) <= best + last
    assert kept <= BestAndLast(direction, best + 1, last + 1).keep(found)
    assert policy.keep([r for r in found if r.epoch in kept]) == kept


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("all", All()),
        ("best", BestAndLast("max", 1, 0)),
        ("last:3", BestAndLast("max", 0, 3)),
        ("best+last", BestAndLast("max", 1, 1)),
        ("best:2+last:3", BestAndLast("max", 2, 3)),
        ("last + best", BestAndLast("max", 1, 1)),
    ],
)
def test_parsing(text: str, policy: object) -> None:
    assert parse_policy(text, "max") == policy


@pytest.mark.parametrize("text", ["", "best:0", "best+best", "worst", "best:-1", "all+last"])
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(UsageError, match="best:2\\+last:3"):
        parse_policy(text, "min")


def store_with(info: dict[str, str]) -> Store:
    store = Store.on(MemoryBackend())
    for epoch in (1, 2, 3, 4):
        store.save(KEY, epoch, make_state(epoch), dict(info))
    return store


def test_retain_drops_only_what_it_was_told_about() -> None:
    with store_with({}) as store:
        assert store.retain(KEY, BestAndLast("min"), records(3, 1, 2)) == [1]
        assert store.epochs(KEY) == [2, 3, 4]
        assert store.retain(KEY, BestAndLast("min"), records(3, 1, 2)) == []


def test_retain_respects_who_wants_all() -> None:
    with store_with({"retention": "all"}) as store:
        assert store.retain(KEY, BestAndLast("min"), records(3, 1, 2, 4)) == []
        assert store.epochs(KEY) == [1, 2, 3, 4]


def test_retain_leaves_the_checkpoints_of_other_runs() -> None:
    with store_with({"retention": "best+last", "owner": "one"}) as store:
        store.save(KEY, 5, make_state(5), {"owner": "two"})
        judged = records(3, 1, 2, 4, 5, 6)
        assert store.retain(KEY, BestAndLast("min"), judged, owner="two") == [5]
        assert store.retain(KEY, BestAndLast("min"), judged, owner="one") == [1, 3, 4]
        assert store.epochs(KEY) == [2]


def test_retain_all_drops_nothing() -> None:
    with store_with({}) as store:
        assert store.retain(KEY, All(), records(1, 2, 3, 4)) == []
        assert store.retain(KEY, parse_policy("last", "min"), records(1, 2, 3, 4)) == [1, 2, 3]
