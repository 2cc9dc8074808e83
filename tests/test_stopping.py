from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recsearch.errors import SpecError
from recsearch.stopping import NoStop, Plateau, StopRule, parse_stop

EAGER = Plateau(patience=2, min_improvement=0.01, grace=1)


@pytest.mark.parametrize(
    ("values", "direction", "stops"),
    [
        pytest.param([1.0, 0.9, 0.8], "min", False, id="improving"),
        pytest.param([1.0, 0.999, 0.998], "min", True, id="too-slow"),
        pytest.param([1.0, 1.1, 1.2], "min", True, id="getting-worse"),
        pytest.param([0.1, 0.2, 0.3], "max", False, id="improving-max"),
        pytest.param([0.3, 0.2, 0.1], "max", True, id="getting-worse-max"),
        pytest.param([1.0, 0.99, 0.9801], "min", False, id="exactly-one-percent"),
        pytest.param([1.0, 0.5, 0.9, 0.5], "min", True, id="against-the-best-not-the-last"),
        pytest.param([1.0, 0.5, 0.9, 0.4], "min", False, id="new-best"),
        pytest.param([1.0, 0.5, 0.499], "min", False, id="one-slow-epoch-is-not-two"),
        pytest.param([1.0, 0.999], "min", True, id="epoch-one-speaks-neither-way"),
        pytest.param([0.0, 0.0, 0.0], "max", True, id="flat-at-zero"),
        pytest.param([0.0, 0.0, 1e-9], "max", False, id="any-gain-over-zero"),
        pytest.param([0.0, -1.0, -2.0], "max", True, id="falling-from-zero"),
        pytest.param([-1.0, -0.9, -0.8], "max", False, id="negative-improving-max"),
        pytest.param([-1.0, -0.999, -0.998], "max", True, id="negative-too-slow-max"),
        pytest.param([-1.0, -1.1, -1.3], "min", False, id="negative-improving-min"),
        pytest.param([1.0, math.nan, math.nan], "min", True, id="nan-improves-nothing"),
        pytest.param([math.nan, math.nan, 1.0], "min", False, id="first-finite-improves"),
        pytest.param([1.0, -math.inf, 0.5], "min", False, id="infinity-is-no-best"),
        pytest.param([1.0, -math.inf, 1.0], "min", True, id="infinity-is-no-improvement"),
        pytest.param([math.nan] * 4, "max", True, id="never-finite"),
        pytest.param([1.0], "min", False, id="one-epoch"),
        pytest.param([], "min", False, id="no-epoch"),
    ],
)
def test_plateau(values: list[float], direction: str, stops: bool) -> None:
    assert Plateau(patience=2, min_improvement=0.01, grace=0).stop(values, direction) is stops


@pytest.mark.parametrize(
    ("patience", "grace", "first"), [(3, 3, 3), (2, 5, 5), (5, 2, 5), (1, 0, 2)]
)
def test_a_flat_trial_ends_once_grace_and_patience_are_over(
    patience: int, grace: int, first: int
) -> None:
    rule = Plateau(patience=patience, grace=grace)
    stopped = [n for n in range(1, 12) if rule.stop([0.5] * n, "min")]
    assert stopped == list(range(first, 12))


def test_standing_still_goes_on_when_no_improvement_is_asked_for() -> None:
    rule = Plateau(patience=2, min_improvement=0.0, grace=2)
    assert not rule.stop([0.5] * 6, "max")
    assert rule.stop([0.5, 0.4, 0.4], "max")


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(0.01, 2), min_size=1, max_size=9),
    st.sampled_from(["min", "max"]),
    st.integers(1, 4),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.005, 0.1]),
)
def test_equals_the_rule_of_lenskit(
    values: list[float], direction: str, patience: int, more: int, least: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lenskit.tuning._stopper import RelativePlateauStopper
    assume(not _on_the_edge(values, direction, least))
    grace = patience + more
    # Neither stops at epoch 1, but LensKit then trips over having nothing to compare.
    theirs = RelativePlateauStopper("m", direction, least, patience, max(grace, 2))
    ours = Plateau(patience=patience, min_improvement=least, grace=grace)
    for epoch, value in enumerate(values, start=1):
        stopped = theirs("t", {"training_iteration": epoch, "m": value})
        assert ours.stop(values[:epoch], direction) is stopped


def _on_the_edge(values: Sequence[float], direction: str, least: float) -> bool:
    """Whether rounding decides: LensKit divides first, this project subtracts first."""
    best = (np.minimum if direction == "min" else np.maximum).accumulate(values)[:-1]
    gains = np.abs(np.array(values[1:]) / best - 1)
    return bool(np.any(np.abs(gains - least) < 1e-12) and least > 0)


def test_no_stop_never_stops() -> None:
    assert not NoStop().stop([0.5] * 50, "min")


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ({"rule": "none"}, NoStop()),
        ({"rule": "plateau"}, Plateau(3, 0.005, 3)),
        (
            {"rule": "plateau", "patience": 5, "min_improvement": 0.01, "grace": 7},
            Plateau(patience=5, min_improvement=0.01, grace=7),
        ),
        ({"rule": "plateau", "min_improvement": 0}, Plateau(min_improvement=0)),
    ],
)
def test_parse_stop(table: dict[str, object], rule: StopRule) -> None:
    assert parse_stop(table) == rule
    assert parse_stop(table).name == table["rule"]


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        ({"rule": "platau"}, "search.stop.rule = 'platau'", "plateau"),
        ({}, "search.stop.rule = None", "plateau"),
        ({"rule": "plateau", "patiance": 3}, "search.stop.patiance", "patience"),
        ({"rule": "none", "patience": 3}, "search.stop.patience", None),
        ({"rule": "plateau", "patience": 0}, "search.stop.patience = 0", None),
        ({"rule": "plateau", "patience": 2.5}, "search.stop.patience = 2.5", None),
        ({"rule": "plateau", "patience": True}, "search.stop.patience = True", None),
        ({"rule": "plateau", "grace": -1}, "search.stop.grace = -1", None),
        ({"rule": "plateau", "min_improvement": -0.1}, "min_improvement = -0.1", None),
        ({"rule": "plateau", "min_improvement": math.nan}, "min_improvement = nan", None),
        ({"rule": "plateau", "min_improvement": "1%"}, "min_improvement = '1%'", None),
    ],
)
def test_parse_stop_names_what_is_wrong(
    table: dict[str, object], message: str, hint: str | None
) -> None:
    with pytest.raises(SpecError) as caught:
        parse_stop(table)
    assert message in caught.value.message
    assert (hint or "") in (caught.value.hint or "")


@given(st.lists(st.floats(), max_size=8), st.sampled_from(["min", "max"]))
def test_any_history_gives_an_answer(values: list[float], direction: str) -> None:
    assert EAGER.stop(values, direction) in {True, False}
    assert EAGER.stop(values, direction) is EAGER.stop(list(values), direction)


@given(st.lists(st.floats(-5, 5), max_size=8))
def test_directions_mirror_each_other(values: list[float]) -> None:
    mirrored = [-value for value in values]
    assert EAGER.stop(values, "min") is EAGER.stop(mirrored, "max")
