"""Which epochs stay: known answers, properties, and what retain refuses to drop."""

from __future__ import annotations

import math
import re
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_tools import KEY, make_state

from recsearch.errors import UsageError
from recsearch.spec.schema import RETENTION
from recsearch.store import All, AnyOf, BestAndLast, Record, Store, parse_policy
from recsearch.store.memory import MemoryBackend
from recsearch.store.retention import NOTHING, Every, Retention, TrialRecords, parse_retention

NAN, INF = math.nan, math.inf
VALUES = st.none() | st.sampled_from([0.0, 1.0, 2.0, 3.0, NAN, INF, -INF]) | st.floats()
RECORDS = st.lists(st.builds(Record, st.integers(1, 20), VALUES), unique_by=lambda r: r.epoch)

COUNTED = st.tuples(st.sampled_from(["best", "last", "every"]), st.integers(1, 5))
TERMS = st.lists(COUNTED, min_size=1, max_size=3, unique_by=lambda term: term[0])
POLICIES = st.sampled_from(["all", "none", "best", "last+best"]) | TERMS.map(
    lambda terms: "+".join(f"{name}:{count}" for name, count in terms)
)
TOP = st.integers(1, 3).map(lambda count: f", topk-trials:{count}")
TOP_ONLY = st.builds(lambda top, policy: f"{top}:{policy}", TOP, POLICIES)
PRUNED = POLICIES.map(lambda policy: f", pruned:{policy}")
TEXTS = st.builds(
    lambda *parts: "".join(parts),
    POLICIES, st.just("") | TOP | TOP_ONLY, st.just("") | PRUNED,
)  # fmt: skip
DIRECTIONS = st.sampled_from(["min", "max"])


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
        (NOTHING, (1,), set()),
        (Every(2), (5, NAN, 1, 2, 3), {2, 4}),
        (Every(9), (5, 1, 2), set()),
        (AnyOf((Every(3), BestAndLast("min"))), (5, 1, 2, 2), {2, 3, 4}),
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
        ("none", NOTHING),
        ("every:5", Every(5)),
        ("every:5+best", AnyOf((BestAndLast("max", 1, 0), Every(5)))),
    ],
)
def test_parsing(text: str, policy: object) -> None:
    assert parse_policy(text, "max") == policy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "best:0",
        "best+best",
        "worst",
        "best:-1",
        "all+last",
        "every",
        "every:2+every:3",
        "best:",
    ],
)
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(UsageError, match="best:2\\+last:3"):
        parse_policy(text, "min")


def trial(
    number: int, *values: float | None, ended: bool = True, pruned: bool = False
) -> TrialRecords:
    return TrialRecords(number, tuple(records(*values)), ended, pruned)


FOUR = (
    trial(1, 3, 2, 4),
    trial(2, 5, 1, 6),
    trial(3, 9, 8, pruned=True),
    trial(4, 7, 9, 8, ended=False),
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("best+last", {1: {2, 3}, 2: {2, 3}, 3: {2}, 4: {1, 3}}),
        ("all", {1: {1, 2, 3}, 2: {1, 2, 3}, 3: {1, 2}, 4: {1, 2, 3}}),
        ("last", {1: {3}, 2: {2, 3}, 3: {2}, 4: {1, 3}}),
        ("none", {1: set(), 2: {2}, 3: set(), 4: {1, 3}}),
        ("every:3", {1: {3}, 2: {2, 3}, 3: set(), 4: {1, 3}}),
        ("every:2", {1: {2}, 2: {2}, 3: {2}, 4: {1, 2, 3}}),
        ("all, topk-trials:1", {1: {2}, 2: {1, 2, 3}, 3: {2}, 4: {1, 2, 3}}),
        ("all, topk-trials:2:none", {1: {1, 2, 3}, 2: {1, 2, 3}, 3: set(), 4: {1, 2, 3}}),
        ("all, topk-trials:1:last", {1: {3}, 2: {1, 2, 3}, 3: {2}, 4: {1, 2, 3}}),
        ("all, pruned:none", {1: {1, 2, 3}, 2: {1, 2, 3}, 3: set(), 4: {1, 2, 3}}),
        ("all, topk-trials:1, pruned:last", {1: {2}, 2: {1, 2, 3}, 3: {2}, 4: {1, 2, 3}}),
        ("all, topk-trials:2:best, pruned:every:3", {1: {1, 2, 3}, 2: {1, 2, 3}, 3: set(),
                                                    4: {1, 2, 3}}),
        ("best, topk-trials:1:every:3", {1: {3}, 2: {2, 3}, 3: set(), 4: {1, 3}}),
    ],
)  # fmt: skip
def test_what_a_search_keeps(text: str, kept: dict[int, set[int]]) -> None:
    assert parse_retention(text, "min").keep(FOUR) == kept
    mirrored = [
        TrialRecords(
            one.number, tuple(Record(r.epoch, -float(r.value or 0)) for r in one.records),
            one.ended, one.pruned,
        )
        for one in FOUR
    ]  # fmt: skip
    assert parse_retention(text, "max").keep(mirrored) == kept


def test_ties_between_trials_go_to_the_earlier_epoch_then_the_lower_trial() -> None:
    twins = [trial(3, 9, 1), trial(2, 1, 9), trial(1, 9, 1), trial(4, NAN, None)]
    retention = parse_retention("none", "min")
    assert retention.keep(twins) == {3: set(), 2: {1}, 1: set(), 4: set()}
    order = [number for number, _ in retention.expendable(twins)]
    assert order == [4, 3, 1, 2, 4, 3, 1], "the worst first, and never all of the best trial"


@pytest.mark.parametrize(
    "text", ["best+last", "best:3+last:2", "none", "every:1", "all, pruned:none"]
)
def test_what_gives_way_to_a_quota(text: str) -> None:
    groups = list(parse_retention(text, "min").expendable(FOUR))
    assert groups == [(3, {1}), (1, {1, 3}), (2, {1, 3}), (3, {2}), (1, {2})]


def test_a_quota_drops_nothing_of_those_who_want_all() -> None:
    assert list(parse_retention("all", "min").expendable(FOUR)) == []
    assert parse_retention("all", "min").keeps_all
    assert not parse_retention("all, topk-trials:5", "min").keeps_all


@st.composite
def histories(draw: st.DrawFn) -> list[list[TrialRecords]]:
    """A search as it goes on: in each step one trial gets an epoch, ends, or begins."""
    trials: list[TrialRecords] = [TrialRecords(1, ())]
    steps = [list(trials)]
    for _ in range(draw(st.integers(1, 25))):
        running = [n for n, one in enumerate(trials) if not one.ended]
        kind = draw(st.sampled_from(["epoch", "epoch", "epoch", "end", "begin"]))
        if kind == "begin" or not running:
            trials.append(TrialRecords(len(trials) + 1, ()))
        else:
            at = draw(st.sampled_from(running))
            old = trials[at]
            more = Record(len(old.records) + 1, draw(VALUES))
            if kind == "end":
                trials[at] = TrialRecords(old.number, old.records, True, draw(st.booleans()))
            else:
                trials[at] = TrialRecords(old.number, (*old.records, more))
        steps.append(list(trials))
    return steps


def best_of(trials: list[TrialRecords], direction: str) -> tuple[int, int] | None:
    """By the words of docs/architecture.md: ties go to the earlier epoch, then the lower trial."""
    found = [
        ((-r.value if direction == "max" else r.value), r.epoch, one.number)
        for one in trials for r in one.records
        if r.value is not None and math.isfinite(r.value)
    ]  # fmt: skip
    return (min(found)[2], min(found)[1]) if found else None


@given(TEXTS, DIRECTIONS, histories())
def test_the_best_and_what_training_continues_from_always_stay(text, direction, steps) -> None:
    """Whatever the policy: in every step, by what it keeps and by what it gives up for a quota."""
    retention = parse_retention(text, direction)
    there: dict[int, set[int]] = {}
    for trials in steps:
        kept = retention.keep(trials)
        best = best_of(trials, direction)
        protected = {(one.number, len(one.records)) for one in trials if not one.ended}
        protected |= {best} if best else set()
        protected |= {
            (one.number, own[1])
            for one in trials if not one.ended and (own := best_of([one], direction))
        }  # fmt: skip
        given_up = {(n, e) for n, epochs in retention.expendable(trials) for e in epochs}
        assert not protected & given_up
        for one in trials:
            epochs = {record.epoch for record in one.records}
            assert kept[one.number] <= epochs
            assert {e for n, e in protected if n == one.number and e} <= kept[one.number]
            # What is wanted now has not been dropped in an earlier step.
            there.setdefault(one.number, set())
            there[one.number] |= epochs - {e for e in epochs if e < len(epochs)}
            assert kept[one.number] <= there[one.number]
            there[one.number] &= kept[one.number]


@given(TEXTS)
def test_every_policy_that_reads_is_accepted_in_a_search_file(text: str) -> None:
    parse_retention(text, "min")
    assert re.fullmatch(RETENTION, text)


@given(st.from_regex(RETENTION, fullmatch=True))
def test_every_policy_of_a_search_file_reads(text: str) -> None:
    parse_retention(text.rstrip("\n"), "min")


def test_a_policy_reads_in_any_order_of_its_terms() -> None:
    wanted = AnyOf((BestAndLast("min", 2, 3), Every(4)))
    for terms in permutations(["best:2", "last:3", "every:4"]):
        assert parse_policy("+".join(terms), "min") == wanted
    assert parse_retention("best, topk-trials:7:last:2, pruned:none", "max") == Retention(
        "max", BestAndLast("max", 1, 0), 7, BestAndLast("max", 0, 2), NOTHING
    )
    assert parse_retention("best,topk-trials:7", "max").others == BestAndLast("max", 1, 0)


@pytest.mark.parametrize(
    "text",
    [
        "best, topk-trials:0", "best, topk-trials", "best, top:3", "best, pruned", "best,",
        "best, topk-trials:2, topk-trials:3", "best, pruned:none, pruned:best", "pruned:none",
        "best, pruned:worst",
    ],
)  # fmt: skip
def test_what_is_no_retention(text: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        parse_retention(text, "min")
    assert not re.fullmatch(RETENTION, text)


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
