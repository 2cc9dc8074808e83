"""Conditional, boolean, choice and power-of-two parameters, by every method, on any space."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsearch.space import Bool, Choice, DomainError, Float, Int, Space
from recsearch.space.space import identity
from recsearch.spec import load_search
from recsearch.suggest import Observation, make_suggester, tpe

KINDS = st.sampled_from(
    [
        Bool(),
        Choice(("a", "b", 3)),
        Choice((True, 1, "x")),
        Int(1, 3),
        Int(2, 16, "pow2"),
        Int(1, 40, "log", points=2),
        Float(0.25, 2, "pow2"),
        Float(0, 1, step=0.5),
        Float(1e-4, 1, "log", points=2),
    ]
)


@st.composite
def spaces(draw):
    """Up to five parameters; each may depend on earlier ones, which may depend on others."""
    domains = {}
    for name in draw(st.permutations("abcde"))[: draw(st.integers(1, 5))]:
        when = []
        finite = [other for other, domain in domains.items() if domain.size is not None]
        for other in (
            draw(st.lists(st.sampled_from(finite), max_size=2, unique=True)) if finite else ()
        ):
            values = domains[other].values()
            allowed = draw(st.lists(st.sampled_from(range(len(values))), min_size=1, unique=True))
            when.append((other, tuple(values[k] for k in allowed)))
        domains[name] = replace(draw(KINDS), when=tuple(when))
    order = draw(st.permutations(list(domains)))
    try:
        return Space({name: domains[name] for name in order})
    except DomainError:
        return Space({name: replace(domain, when=()) for name, domain in domains.items()})


def meant(space, values):
    """Which parameters take part, by the definition: every condition of every ancestor holds."""

    def holds(name):
        return all(
            holds(other)
            and any(type(values[other]) is type(v) and values[other] == v for v in allowed)
            for other, allowed in space[name].when
        )

    return {name for name in space if holds(name)}


def run(space, method, trials, seed):
    spec = replace(load_search("als", overrides={"search.method": method}), space=space)
    suggester = make_suggester(spec, seed, None, lambda params: 1.0)
    done = []
    for number in range(1, min(trials, suggester.total or trials) + 1):
        seen = max(0, number - 2)
        pending = [d.params for d in done[seen:]]
        point = suggester.suggest(number, done[:seen], pending).params
        done.append(Observation(number, point, float(len(str(sorted(point))) % 7)))
    return [seen.params for seen in done], suggester.total


@pytest.mark.parametrize("method", ["tpe", "random", "grid"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(space=spaces(), seed=st.integers(0, 2**31))
def test_points_are_whole_and_none_is_repeated(method, space, seed):
    startup, tpe.STARTUP = tpe.STARTUP, 3
    try:
        points, total = run(space, method, 9, seed)
    finally:
        tpe.STARTUP = startup
    for point in points:
        assert all(space[name].contains(value) for name, value in point.items())
        filled = {name: point.get(name, domain.from_unit(0.5)) for name, domain in space.items()}
        assert point.keys() == meant(space, filled)
    assert len({identity(point) for point in points}) == len(points)
    assert len(points) == min(9, total or 9)


@settings(max_examples=60, deadline=None)
@given(space=spaces())
def test_a_grid_is_every_combination_once(space):
    points, total = run(space, "grid", 10**6, 1)
    axes = [domain.grid_values() for domain in space.values()]
    expected = set()
    for values in itertools.product(*axes):
        filled = dict(zip(space, values, strict=True))
        taking = meant(space, filled)
        expected.add(identity({name: filled[name] for name in taking}))
    assert {identity(point) for point in points} == expected
    assert total == len(points) == len(expected)


def test_a_chain_of_conditions_holds_from_end_to_end():
    space = Space(
        {
            "weight": Float(0, 1, when=(("count", (3,)),)),
            "on": Bool(),
            "count": Int(1, 3, when=(("on", (True,)),)),
        }
    )
    points, _ = run(space, "random", 400, 5)
    shares = [sum(name in point for point in points) for name in ("on", "count", "weight")]
    assert shares[0] == 400
    assert shares[1] == sum(point["on"] for point in points)
    assert shares[2] == sum(point.get("count") == 3 for point in points) > 0


def test_drawn_values_of_a_conditional_parameter_have_its_own_distribution():
    space = Space(
        {"x": Int(1, 64, "pow2", when=(("on", (True,)),)), "on": Bool(), "y": Float(0, 1)}
    )
    points, _ = run(space, "random", 700, 2)
    assert sum(point["on"] for point in points) / 700 == pytest.approx(0.5, abs=0.07)
    drawn = [point["x"] for point in points if "x" in point]
    for value in (1, 2, 4, 8, 16, 32, 64):
        assert drawn.count(value) / len(drawn) == pytest.approx(1 / 7, abs=0.07)


def test_tpe_learns_a_parameter_from_the_trials_that_have_it():
    """``x`` matters where ``on`` holds, and best is there: 3 at x = 1, 2 where it is off."""
    space = Space({"on": Bool(), "x": Float(0, 1, when=(("on", (True,)),)), "y": Float(0, 1)})
    spec = replace(load_search("als"), space=space)
    suggester, done = make_suggester(spec, 3, None, lambda params: 1.0), []
    for number in range(1, 46):
        point = suggester.suggest(number, done, []).params
        loss = -3 * point["x"] if point["on"] else -2.0
        done.append(Observation(number, point, loss))
    late = [seen.params["x"] for seen in done[25:] if seen.params["on"]]
    assert len(late) > 10
    assert sum(late) / len(late) > 0.7
