from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recsearch.errors import SpecError
from recsearch.pruning import Asha, Halving, Median, NoPruning, Rule, parse_scheduler

NAN = math.nan
values = st.floats(-5, 5).map(lambda value: round(value, 2))
curves = st.lists(st.one_of(values, st.just(NAN)), min_size=1, max_size=6)
RULES: list[Rule] = [
    Asha(),
    Asha(grace=2, eta=2, max_epochs=4),
    Halving(eta=2, least=1),
    Halving(grace=2, eta=3, least=2),
    Median(grace=2),
    NoPruning(),
]


@pytest.mark.parametrize(
    ("rule", "rungs"),
    [
        (Asha(grace=1, eta=3, max_epochs=30), [1, 3, 9, 27]),
        (Asha(grace=1, eta=3, max_epochs=27), [1, 3, 9]),
        (Asha(grace=2, eta=2, max_epochs=17), [2, 4, 8, 16]),
        (Asha(grace=5, eta=4), [5, 20]),
        (Asha(grace=1, eta=3, max_epochs=1), []),
    ],
)
def test_rungs(rule: Asha, rungs: list[int]) -> None:
    assert [epoch for epoch in range(1, 31) if rule.is_rung(epoch)] == rungs


@pytest.mark.parametrize(
    ("value", "peers", "direction", "kept"),
    [
        pytest.param(0.5, [0.6, 0.7, 0.8], "min", True, id="best"),
        pytest.param(0.65, [0.6, 0.7, 0.8], "min", True, id="one-of-three-better"),
        pytest.param(0.75, [0.6, 0.7, 0.8], "min", False, id="two-of-three-better"),
        pytest.param(0.65, [0.6, 0.7, 0.8], "max", False, id="max-turns-it-round"),
        pytest.param(0.75, [0.6, 0.7, 0.8], "max", True, id="max-one-of-three-better"),
        pytest.param(0.9, [0.6, 0.7], "min", True, id="too-few-peers"),
        pytest.param(0.9, [0.6, 0.7, NAN], "min", True, id="nan-is-no-peer"),
        pytest.param(NAN, [0.6, 0.7, 0.8], "min", False, id="nan-is-worst"),
        pytest.param(math.inf, [0.6, 0.7, 0.8], "max", False, id="infinity-is-worst"),
        pytest.param(0.6, [0.6, 0.6, 0.6], "min", True, id="ties-are-kept"),
        pytest.param(0.0, [0.1, 0.2, 0.3], "min", True, id="zero-is-a-value"),
        pytest.param(NAN, [], "min", True, id="alone"),
    ],
)
def test_asha_keeps_the_top_third(
    value: float, peers: list[float], direction: str, kept: bool
) -> None:
    assert Asha().keep([value], [[peer] for peer in peers], direction) is kept
    assert Asha().decide(1, value, dict(enumerate(peers)), direction) is kept


def test_asha_compares_at_the_same_epoch_and_at_rungs_only() -> None:
    rule = Asha(grace=1, eta=3, max_epochs=30)
    peers = [[0.9, 0.5, 0.4], [0.9, 0.5, 0.4], [0.9, 0.5, 0.4], [0.1], [0.1]]
    assert rule.keep([0.5, 0.9], peers, "min")
    assert not rule.keep([0.5, 0.9, 0.5], peers, "min")
    assert rule.keep([0.9, 0.9, 0.3], peers, "min")


def test_asha_min_peers() -> None:
    peers = [[0.1], [0.1]]
    assert Asha().keep([0.9], peers, "min")
    assert not Asha(min_peers=2).keep([0.9], peers, "min")
    assert Asha(eta=2, min_peers=3).keep([0.9], peers, "min")


@settings(deadline=None)
@given(st.lists(values, min_size=3, max_size=30), values, st.integers(2, 4), st.booleans())
def test_asha_cuts_at_the_quantile_of_ray(
    peers: list[float], value: float, eta: int, minimise: bool
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.tune.schedulers.async_hyperband import _Bracket
    sign = -1 if minimise else 1
    recorded = {n: sign * peer for n, peer in enumerate([*peers, value])}
    cut = _Bracket(1, 100, eta, 0).cutoff(recorded)
    # The quantile is interpolated in floating point and may miss a value by its last digits.
    assume(sign * value == cut or abs(sign * value - cut) > 1e-9)
    rule = Asha(eta=eta, min_peers=3)
    kept = rule.keep([value], [[peer] for peer in peers], "min" if minimise else "max")
    assert kept is bool(sign * value >= cut)


@given(st.lists(values, min_size=4, max_size=25, unique=True), st.integers(2, 4))
def test_asha_keeps_a_third_and_always_the_best(everyone: list[float], eta: int) -> None:
    rule = Asha(eta=eta, min_peers=3)
    kept = [
        value
        for n, value in enumerate(everyone)
        if rule.keep([value], [[peer] for m, peer in enumerate(everyone) if m != n], "max")
    ]
    assert max(everyone) in kept
    assert len(kept) == (len(everyone) - 1) // eta + 1


@pytest.mark.parametrize(
    ("history", "peers", "direction", "kept"),
    [
        pytest.param([0.5], [[0.4], [0.6]], "min", True, id="one-of-two-better"),
        pytest.param([0.5], [[0.4], [0.4], [0.6]], "min", False, id="two-of-three-better"),
        pytest.param([0.5], [[0.4], [0.4], [0.6]], "max", True, id="max-turns-it-round"),
        pytest.param([0.9, 0.5], [[0.4]] + [[0.6]] * 3, "min", True, id="one-of-four-at-epoch-2"),
        pytest.param([0.9, 0.5], [[0.4]] + [[0.6]] * 2, "min", False, id="one-of-three-at-epoch-2"),
        pytest.param([0.9, 0.5], [[0.9, 0.4]] + [[0.6]] * 2, "min", False, id="same-at-any-epoch"),
        pytest.param(
            [0.9, 0.5], [[0.9, 0.6, 0.4]] + [[0.6]] * 2, "min", True, id="later-does-not-count"
        ),
        pytest.param([0.5, 0.9], [[0.4]] + [[0.6]] * 3, "min", True, id="best-so-far-counts"),
        pytest.param([0.5, 0.9], [[0.9, 0.5]] * 9, "min", True, id="ties-are-kept"),
        pytest.param([0.9], [[0.1]], "min", True, id="too-few-peers"),
        pytest.param([0.9], [[0.1], [NAN]], "min", True, id="nan-is-no-peer"),
        pytest.param([0.5], [[NAN, 0.4], [0.6], [0.4]], "min", True, id="nan-beside-a-best"),
        pytest.param([NAN], [[0.6], [0.7]], "min", False, id="nan-is-worst"),
        pytest.param([], [[0.6], [0.7]], "min", True, id="no-epoch"),
    ],
)
def test_halving(
    history: list[float], peers: list[list[float]], direction: str, kept: bool
) -> None:
    rule = Halving(eta=2, least=1)
    assert rule.keep(history, peers, direction) is kept
    # A grace period moves the rungs: what is cut at epoch e is cut one epoch later then.
    later = Halving(grace=2, eta=2, least=1)
    assert later.keep([9.0] * len(history), [[0.1], [0.1], [0.1]], "min") is (len(history) < 2)
    moved = [[math.nan, *peer] for peer in peers]
    assert not history or later.keep([NAN, *history], moved, direction) is kept


@given(st.permutations(range(64)), st.integers(2, 4), st.integers(1, 4), st.integers(1, 4))
def test_halving_keeps_one_in_eta_to_the_epoch_and_the_least(
    order: list[int], eta: int, epoch: int, least: int
) -> None:
    rule = Halving(eta=eta, least=least)
    everyone = [[float(value)] * epoch for value in order]
    kept = [
        curve[0]
        for n, curve in enumerate(everyone)
        if rule.keep(curve, [peer for m, peer in enumerate(everyone) if m != n], "min")
    ]
    assert sorted(kept) == [float(value) for value in range(max(63 // eta**epoch + 1, least))]


@given(curves, st.lists(curves, max_size=6), st.sampled_from(["min", "max"]), st.integers(0, 5))
def test_halving_is_never_more_lenient_later(
    history: list[float], peers: list[list[float]], direction: str, stays: int
) -> None:
    """Standing still: who is cut after an epoch would be cut after any further one."""
    rule, longer = Halving(eta=2, least=1), [*history, *[history[-1]] * stays]
    frozen = [peer[: len(history)] for peer in peers]
    if not rule.keep(history, frozen, direction):
        assert not rule.keep(longer, frozen, direction)


@pytest.mark.parametrize(
    ("history", "peers", "direction", "kept"),
    [
        pytest.param([0.9, 0.9], [[0.1, 0.1]] * 3, "min", True, id="grace"),
        pytest.param([0.9, 0.9, 0.6], [[9, 9, 0.5]] * 3, "min", False, id="worse"),
        pytest.param([0.9, 0.9, 0.5], [[9, 9, 0.5]] * 3, "min", True, id="level"),
        pytest.param([0.9, 0.4, 0.8], [[9, 9, 0.5]] * 3, "min", True, id="best-so-far-counts"),
        pytest.param([0.1, 0.4, 0.3], [[9, 9, 0.5]] * 3, "max", False, id="worse-max"),
        pytest.param([0.1, 0.6, 0.3], [[9, 9, 0.5]] * 3, "max", True, id="better-max"),
        pytest.param([0.9] * 4, [[9, 9, 0.9, 0.6]] * 3, "min", False, id="mean-from-grace-on"),
        pytest.param([0.7] * 4, [[0, 0, 0.9, 0.6]] * 3, "min", True, id="not-from-before-grace"),
        pytest.param([0.9] * 3, [[0, 0, 0.1]] * 2, "min", True, id="too-few-peers"),
        pytest.param([0.9] * 3, [[0, 0, 0.1]] * 2 + [[0, 0]], "min", True, id="short-peer"),
        pytest.param([0.9] * 3, [[0, 0, 0.1]] * 2 + [[0, 0, NAN]], "min", True, id="nan-peer"),
        pytest.param([0.9] * 3, [[NAN, 0, 0.1]] * 3, "min", False, id="nan-before-grace"),
        pytest.param([NAN] * 3, [[0, 0, 5]] * 3, "min", False, id="nan-is-worst"),
        pytest.param([NAN, 0.1, NAN], [[0, 0, 0.5]] * 3, "min", True, id="nan-beside-a-best"),
        pytest.param([0.0] * 3, [[0, 0, 0.5]] * 3, "min", True, id="zero-is-a-value"),
        pytest.param(
            [0.6] * 3, [[0, 0, 0.1], [0, 0, 0.5], [0, 0, 0.7]], "min", False, id="median-odd"
        ),
        pytest.param(
            [0.6] * 3, [[0, 0, x] for x in (0.1, 0.5, 0.7, 0.8)], "min", True, id="median-even"
        ),
    ],
)
def test_median(history: list[float], peers: list[list[float]], direction: str, kept: bool) -> None:
    assert Median(grace=3, min_peers=3).keep(history, peers, direction) is kept


class FakeTrial:
    """What Ray's rule needs to know of a trial, and of its controller."""

    trial_id = "own"

    def get_live_trials(self) -> list[object]:
        return []


@settings(deadline=None)
@given(
    st.lists(st.lists(values, min_size=1, max_size=5), min_size=1, max_size=6),
    st.lists(values, min_size=1, max_size=5),
    st.sampled_from(["min", "max"]),
)
def test_median_decides_as_ray_does(
    peers: list[list[float]], history: list[float], direction: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.tune.schedulers import MedianStoppingRule, TrialScheduler
    ray = MedianStoppingRule("t", "m", direction, grace_period=2, min_samples_required=3)
    for number, peer in enumerate(peers):
        ray._results[number] = [{"t": t, "m": value} for t, value in enumerate(peer, start=1)]
    own, pick = FakeTrial(), max if direction == "max" else min
    for epoch, value in enumerate(history, start=1):
        ray._stopped_trials.clear()
        action = ray.on_trial_result(own, own, {"t": epoch, "m": value})
        means = [np.mean(peer[1:epoch]) for peer in peers if len(peer) >= epoch > 1]
        if len(means) >= 3:
            # At the median itself the last digits of the means decide.
            assume(abs(pick(history[:epoch]) - np.median(means)) > 1e-9)
        kept = Median(grace=2, min_peers=3).keep(history[:epoch], peers, direction)
        assert kept is (action != TrialScheduler.STOP)


@given(curves, st.lists(curves, max_size=6), st.sampled_from(["min", "max"]), st.randoms())
def test_rules_are_pure_and_do_not_depend_on_the_order_of_peers(
    history: list[float], peers: list[list[float]], direction: str, random: object
) -> None:
    shuffled = list(peers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for rule in RULES:
        kept = rule.keep(tuple(history), tuple(map(tuple, peers)), direction)
        assert kept in {True, False}
        assert rule.keep(history, shuffled, direction) is kept


@given(curves, st.lists(curves, max_size=6))
def test_directions_mirror_each_other(history: list[float], peers: list[list[float]]) -> None:
    def mirror(curve: Sequence[float]) -> list[float]:
        return [-value for value in curve]

    for rule in RULES:
        turned = rule.keep(mirror(history), [mirror(peer) for peer in peers], "max")
        assert rule.keep(history, peers, "min") is turned


@given(curves, st.lists(curves, max_size=6), st.sampled_from(["min", "max"]))
def test_nothing_is_pruned_for_want_of_peers(
    history: list[float], peers: list[list[float]], direction: str
) -> None:
    assert NoPruning().keep(history, peers, direction)
    for rule in (Asha(min_peers=3), Halving(least=1, min_peers=3), Median(min_peers=3)):
        assert rule.keep(history, peers[:2], direction)
        assert rule.keep([], peers, direction)


@pytest.mark.parametrize(
    ("name", "options", "rule"),
    [
        ("asha", {}, Asha(grace=1, eta=3, max_epochs=30)),
        ("asha", {"grace": 2, "eta": 4, "min_peers": 5}, Asha(2, 4, 30, 5)),
        ("halving", {}, Halving(grace=1, eta=4, least=3)),
        ("halving", {"grace": 2, "eta": 2, "least": 1, "min_peers": 5}, Halving(2, 2, 1, 5)),
        ("median", {}, Median(grace=3, min_peers=3)),
        ("median", {"grace": 1, "min_peers": 4}, Median(grace=1, min_peers=4)),
        ("none", {}, NoPruning()),
    ],
)
def test_parse_scheduler(name: str, options: dict[str, object], rule: Rule) -> None:
    assert parse_scheduler(name, options, 30) == rule
    assert parse_scheduler(name, options, 30).name == name


@pytest.mark.parametrize(
    ("name", "options", "message", "hint"),
    [
        ("asah", {}, "search.scheduler = 'asah'", "asha"),
        ("asha", {"etta": 3}, "search.scheduler_options.etta", "eta"),
        ("asha", {"max_epochs": 3}, "search.scheduler_options.max_epochs", ""),
        ("halving", {"etta": 3}, "search.scheduler_options.etta", "eta"),
        ("halving", {"eta": 1}, "search.scheduler_options.eta = 1", ""),
        ("halving", {"grace": 0}, "search.scheduler_options.grace = 0", ""),
        ("halving", {"least": 0}, "search.scheduler_options.least = 0", ""),
        ("halving", {"min_peers": 0}, "search.scheduler_options.min_peers = 0", ""),
        ("none", {"grace": 3}, "none has no such option", ""),
        ("asha", {"eta": 1}, "search.scheduler_options.eta = 1", ""),
        ("asha", {"eta": 2.5}, "search.scheduler_options.eta = 2.5", ""),
        ("asha", {"grace": 0}, "search.scheduler_options.grace = 0", ""),
        ("asha", {"min_peers": 0}, "search.scheduler_options.min_peers = 0", ""),
        ("median", {"grace": "3"}, "search.scheduler_options.grace = '3'", ""),
        ("median", {"min_peers": True}, "search.scheduler_options.min_peers = True", ""),
    ],
)
def test_parse_scheduler_names_what_is_wrong(
    name: str, options: dict[str, object], message: str, hint: str
) -> None:
    with pytest.raises(SpecError) as caught:
        parse_scheduler(name, options, 30)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
