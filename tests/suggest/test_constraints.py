"""Points that may not be trained are never suggested, by any method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_tools import planted_split, search_without_ray, write_search

from recsearch.constraints import check_feasible, feasible_default, feasible_of
from recsearch.errors import SpecError, UsageError
from recsearch.models import resolve
from recsearch.space import Float, Int, Space
from recsearch.space.space import identity
from recsearch.spec import SearchSpec, load_search
from recsearch.suggest import Observation, make_suggester

SPACE = Space({"size": Int(1, 512, "log", points=6), "x": Float(0, 1, points=3)})
METHODS = ["tpe", "random", "grid"]


def small(params):
    return params["size"] <= 20


def suggestions(method, trials, seed=1, feasible=small, space=SPACE, default=None, lag=3, **more):
    overrides = {"search.method": method, **{f"search.{key}": v for key, v in more.items()}}
    spec = replace(load_search("als", overrides=overrides), space=space)
    suggester = make_suggester(spec, seed, default, lambda p: float(p["size"]), feasible)
    done = []
    for number in range(1, min(trials, suggester.total or trials) + 1):
        seen = max(0, number - lag)
        pending = [d.params for d in done[seen:]]
        point = suggester.suggest(number, done[:seen], pending).params
        done.append(Observation(number, point, -point["size"] + point["x"]))
    return [seen.params for seen in done]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cheapest_of", [1, 3])
def test_only_feasible_points_are_suggested_and_none_twice(method, cheapest_of):
    """The objective is best beyond the constraint, so that a searcher is drawn there."""
    points = suggestions(method, 20, cheapest_of=cheapest_of)
    assert len(points) == (9 if method == "grid" else 20)
    assert all(small(point) and SPACE.contains(point) for point in points)
    assert len({identity(point) for point in points}) == len(points)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 14), st.sampled_from(METHODS))
def test_a_suggestion_is_a_function_of_seed_number_and_results(seed, trials, method):
    assert suggestions(method, trials, seed) == suggestions(method, 14, seed)[:trials]


def test_random_points_are_distributed_as_without_the_others():
    free = suggestions("random", 300, feasible=None)
    bound = [p["size"] for p in suggestions("random", 300)]
    wanted = [p["size"] for p in free if small(p)]
    share = sum(size <= 4 for size in wanted) / len(wanted)
    assert sum(size <= 4 for size in bound) / len(bound) == pytest.approx(share, abs=0.12)


@pytest.mark.parametrize("method", ["tpe", "random"])
def test_a_small_space_ends_with_its_last_feasible_point(method):
    space = Space({"size": Int(17, 40), "x": Float(0, 1, step=0.5)})
    points = suggestions(method, 99, space=space)
    assert len(points) == len({identity(point) for point in points}) == 4 * 3


def test_a_rare_point_is_found():
    space = Space({"size": Int(1, 2000), "x": Float(0, 1)})
    assert all(small(point) for point in suggestions("random", 20, space=space))


def test_nothing_to_draw_is_one_clear_error():
    with pytest.raises(UsageError, match="nearly all of the space is outside"):
        suggestions("random", 1, feasible=lambda point: False)


class TestTheDefault:
    def test_it_stays_where_it_may(self):
        assert feasible_default(SPACE, {"size": 20, "x": 0.3}, small) == {"size": 20, "x": 0.3}

    def test_it_is_moved_no_farther_than_it_must(self):
        assert feasible_default(SPACE, {"size": 64, "x": 0.3}, small) == {"size": 20, "x": 0.3}

    def test_the_shortest_way_is_taken(self):
        def near(point):
            return point["size"] <= 2 or point["x"] >= 0.35

        found = feasible_default(SPACE, {"size": 500, "x": 0.3}, near)
        assert found is not None
        assert (found["size"], found["x"]) == (500, pytest.approx(0.35))

    def test_without_a_way_there_is_none(self):
        def corner(point):
            return point["size"] <= 2 and point["x"] >= 0.9

        assert feasible_default(SPACE, {"size": 500, "x": 0.3}, corner) is None

    @settings(max_examples=40)
    @given(st.integers(1, 512), st.floats(0, 1), st.integers(1, 512))
    def test_where_it_is_moved_to_is_feasible(self, size, x, most):
        found = feasible_default(SPACE, {"size": size, "x": x}, lambda p: p["size"] <= most)
        assert found == {"size": min(size, most), "x": x}


def planted(tmp_path: Path, megabytes: float) -> SearchSpec:
    path = write_search(tmp_path / "planted.toml")
    text = path.read_text() + "size = { type = 'int', min = 100, max = 10000 }\n"
    path.write_text(text, encoding="utf-8")
    return load_search(path, overrides={"search.constraints.max_model_mb": megabytes})


def test_a_megabyte_is_a_million_bytes(tmp_path):
    """The planted model has 256 + 4 * size bytes."""
    spec = planted(tmp_path, 0.004256)
    feasible = feasible_of(spec, resolve("planted:Planted"), planted_split())
    assert feasible is not None
    assert feasible({"level": 1.0, "size": 1000})
    assert not feasible({"level": 1.0, "size": 1001})


def test_a_search_without_a_feasible_point_is_refused_with_the_smallest_model(tmp_path):
    spec, family = planted(tmp_path, 0.0005), resolve("planted:Planted")
    feasible = feasible_of(spec, family, planted_split())
    assert feasible is not None
    with pytest.raises(UsageError) as caught:
        check_feasible(spec, family, planted_split(), 1, feasible)
    assert "max_model_mb = 0.0005" in str(caught.value)
    assert "656 B" in str(caught.value)
    assert "max_model_mb=0.000656" in str(caught.value)


def test_a_model_that_does_not_say_its_size_is_refused(tmp_path, monkeypatch):
    spec, family = planted(tmp_path, 1), resolve("planted:Planted")
    monkeypatch.setattr(type(family), "model_bytes", lambda self, config, split: 0)
    feasible = feasible_of(spec, family, planted_split())
    assert feasible is not None
    with pytest.raises(UsageError, match="does not say how large"):
        feasible({"level": 1.0, "size": 100})


@pytest.mark.parametrize("value", [0, -3, "much"])
def test_a_limit_that_is_none_is_named(tmp_path, value):
    with pytest.raises(SpecError, match=r"search\.constraints\.max_model_mb"):
        planted(tmp_path, value)


def test_the_limit_is_part_of_the_identity_and_survives_the_run(tmp_path):
    spec = planted(tmp_path, 2)
    again = SearchSpec.from_resolved(spec.resolved())
    assert again.search.constraints.max_model_mb == 2
    assert spec.resolved()["search"]["constraints"] == {"max_model_mb": 2}


def test_a_search_trains_no_larger_model(tmp_path):
    """ALS of size k on the demo: the limit is that of size 6."""
    view = search_without_ray(
        tmp_path, search__max_epochs=1, search__method="random", search__trials=2,
        search__constraints__max_model_mb=0.0285,
    )  # fmt: skip
    sizes = [trial.params["embedding_size"] for trial in view.trials]
    assert view.trials[0].origin == "default"
    assert sizes[0] == 6, "the default of 50, moved no farther than it must"
    assert max(sizes) <= 6
