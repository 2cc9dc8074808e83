"""What every searcher promises: purity, members of the space, no repetitions, the default first."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsearch.errors import UsageError
from recsearch.space import Bool, Choice, Float, Int, Space
from recsearch.space.space import identity
from recsearch.spec import load_search
from recsearch.suggest import Observation, default_params, make_suggester
from recsearch.suggest.grid import GridSuggester
from recsearch.suggest.tpe import STARTUP, TpeSuggester
from recsearch.suggest.uniform import UniformSuggester

MIXED = Space(
    {
        "size": Int(4, 512, "log", points=3),
        "loss": Choice(("warp", "bpr", "logistic")),
        "negatives": Int(1, 5, when=(("loss", ("warp", "bpr")),)),
        "bias": Bool(),
        "batch": Int(64, 1024, "pow2"),
        "reg": Float(1e-5, 1, "log", points=2),
        "fixed": Float(0.5, 0.5),
        "drop": Float(0, 0.5, step=0.1, points=2),
    }
)
DEFAULT = MIXED.clip({"size": 50, "loss": "bpr", "reg": 0.1})
SMALL = Space({"a": Int(1, 4), "b": Choice(("x", "y"))})


def score(params):
    """A smooth objective with every parameter in it, minimal at large sizes."""
    return (
        -math.log(params["size"])
        + 0.3 * params.get("negatives", 4)
        + (math.log10(params["reg"]) + 2) ** 2
        + 0.2 * params["bias"]
        + 0.1 * math.log2(params["batch"])
        + params["drop"]
    )


def run(suggester, trials, objective, lag=8):
    """Trial after trial, each seeing the results of those ``lag`` back."""
    done, suggestions = [], []
    for number in range(1, trials + 1):
        seen = max(0, number - lag)
        pending = [found.params for found in done[seen:]]
        suggestion = suggester.suggest(number, done[:seen], pending)
        suggestions.append(suggestion)
        done.append(Observation(number, suggestion.params, objective(suggestion.params)))
    return suggestions


def cost(params):
    """What an epoch costs, for those searchers that ask."""
    return float(params.get("size", 1))


class SuggesterContract:
    """Checked for every method; a subclass makes the searcher."""

    def make(self, space, seed=1, default=None):
        raise NotImplementedError

    def test_suggestions_are_members_of_the_space(self):
        for suggestion in run(self.make(MIXED, default=DEFAULT), 60, score):
            MIXED.validate(suggestion.params)

    def test_the_default_comes_first(self):
        first, *others = run(self.make(MIXED, default=DEFAULT), 10, score)
        assert (first.params, first.origin) == (DEFAULT, "default")
        assert all(other.origin != "default" for other in others)
        assert run(self.make(MIXED), 1, score)[0].origin != "default"

    def test_no_point_is_repeated(self):
        points = [s.params for s in run(self.make(MIXED, default=DEFAULT), 60, score)]
        assert len({identity(point) for point in points}) == len(points)

    def test_a_small_space_is_tried_completely_and_ends(self):
        suggester = self.make(SMALL, default={"a": 2, "b": "y"})
        assert suggester.total == 8
        points = [s.params for s in run(suggester, 8, lambda p: p["a"], lag=2)]
        assert len({identity(point) for point in points}) == 8

    def test_a_space_without_parameters_has_one_point(self):
        suggester = self.make(Space({}), default={})
        assert suggester.total == 1
        assert suggester.suggest(1, [], []).params == {}

    def test_a_new_searcher_goes_on_where_the_old_one_ended(self):
        straight = run(self.make(MIXED, default=DEFAULT), 40, score)
        for number in (1, 2, 15, 33, 40):
            done = [
                Observation(n, s.params, score(s.params)) for n, s in enumerate(straight, start=1)
            ]
            seen = max(0, number - 8)
            pending = [s.params for s in straight[seen : number - 1]]
            again = self.make(MIXED, default=DEFAULT).suggest(number, done[:seen], pending)
            assert again == straight[number - 1]

    def test_asking_twice_changes_nothing(self):
        suggester = self.make(MIXED)
        assert suggester.suggest(3, [], []) == suggester.suggest(3, [], [])

    def test_errors_are_no_obstacle(self):
        suggestions = run(self.make(MIXED), 40, lambda p: None if p["bias"] else score(p))
        assert len(suggestions) == 40
        run(self.make(MIXED), 40, lambda _: None)
        run(self.make(MIXED), 40, lambda p: math.nan if p["bias"] else math.inf)

    def test_constant_objectives_are_no_obstacle(self):
        run(self.make(MIXED), 40, lambda _: 1.0)


class TestUniform(SuggesterContract):
    def make(self, space, seed=1, default=None):
        return UniformSuggester(space, seed, default)

    def test_results_play_no_part(self):
        one = run(self.make(MIXED), 20, score)
        other = run(self.make(MIXED), 20, lambda p: -score(p))
        assert one == other
        assert {s.origin for s in one} == {"random"}

    def test_seeds_and_numbers_differ(self):
        draws = [self.make(MIXED, seed).suggest(k, [], []) for seed in (1, 2) for k in (1, 2)]
        assert len({identity(draw.params) for draw in draws}) == 4

    def test_draws_follow_the_distribution(self):
        suggester = self.make(Space({"x": Float(1e-4, 1, "log")}))
        values = [suggester.suggest(k, [], []).params["x"] for k in range(1, 801)]
        assert sum(value < 1e-2 for value in values) / 800 == pytest.approx(0.5, abs=0.06)


class TestTpe(SuggesterContract):
    def make(self, space, seed=1, default=None):
        return TpeSuggester(space, seed, "min", default)

    def test_it_begins_at_random_and_goes_on_with_the_model(self):
        origins = [s.origin for s in run(self.make(MIXED, default=DEFAULT), 40, score)]
        assert origins == ["default"] + ["random"] * (STARTUP + 6) + ["tpe"] * (40 - STARTUP - 7)

    def test_errors_do_not_count_as_results(self):
        suggestions = run(self.make(MIXED), 40, lambda _: None)
        assert {s.origin for s in suggestions} == {"random"}

    def test_a_maximised_objective_is_the_minimised_one_with_its_sign_turned(self):
        low = run(TpeSuggester(MIXED, 5, "min"), 40, score)
        high = run(TpeSuggester(MIXED, 5, "max"), 40, lambda p: -score(p))
        assert low == high

    def test_it_learns_which_choice_is_good(self):
        suggestions = run(self.make(MIXED), 80, lambda p: float(p["loss"] != "logistic"))
        late = [s.params["loss"] for s in suggestions[40:]]
        assert late.count("logistic") > 20

    def test_pending_trials_matter(self):
        done = [
            Observation(n, s.params, score(s.params))
            for n, s in enumerate(run(self.make(MIXED), 30, score), start=1)
        ]
        alone = self.make(MIXED).suggest(31, done, [])
        beside = self.make(MIXED).suggest(31, done, [alone.params])
        assert identity(alone.params) != identity(beside.params)


class TestCheapestTpe(SuggesterContract):
    def make(self, space, seed=1, default=None):
        return TpeSuggester(space, seed, "min", default, cheapest_of=3, cost_of=cost)

    def test_it_takes_the_cheapest_of_what_tpe_proposes(self):
        done = [
            Observation(n, s.params, score(s.params))
            for n, s in enumerate(run(self.make(MIXED), 30, score), start=1)
        ]
        plain = TpeSuggester(MIXED, 1, "min").suggest(31, done, []).params
        asked = []

        def noted(params):
            asked.append(params)
            return cost(params)

        for count in (2, 3, 4):
            asked.clear()
            suggester = TpeSuggester(MIXED, 1, "min", cheapest_of=count, cost_of=noted)
            chosen = suggester.suggest(31, done, []).params
            assert asked[0] == plain
            assert len({identity(point) for point in asked}) == len(asked) == count
            assert chosen == min(asked, key=cost)

    def test_a_model_that_does_not_say_what_it_costs_gets_plain_tpe(self):
        free = TpeSuggester(MIXED, 1, "min", cheapest_of=3, cost_of=lambda _: 0.0)
        assert run(free, 20, score) == run(TpeSuggester(MIXED, 1, "min"), 20, score)

    def test_cost_is_needed(self):
        with pytest.raises(ValueError, match="cost_of"):
            TpeSuggester(MIXED, 1, "min", cheapest_of=2)


class TestGrid(SuggesterContract):
    def make(self, space, seed=1, default=None):
        return GridSuggester(space, default)

    def test_the_order_is_that_of_the_file(self):
        points = [s.params for s in run(self.make(SMALL), 8, lambda _: 0.0)]
        assert points == [{"a": a, "b": b} for a in (1, 2, 3, 4) for b in ("x", "y")]

    def test_a_default_outside_the_grid_is_one_more_trial(self):
        space = Space({"a": Int(1, 100, points=3)})
        assert self.make(space).total == 3
        suggester = self.make(space, default={"a": 7})
        assert suggester.total == 4
        assert [s.params["a"] for s in run(suggester, 4, lambda _: 0.0)] == [7, 1, 51, 100]

    def test_a_default_on_the_grid_is_not_repeated(self):
        suggester = self.make(SMALL, default={"a": 4, "b": "y"})
        assert suggester.total == 8
        assert run(suggester, 1, lambda _: 0.0)[0].params == {"a": 4, "b": "y"}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.sampled_from(["tpe", "random", "grid"]))
def test_resumed_searches_equal_straight_ones(seed, lag, method):
    spec = load_search("als", overrides={"search.method": method, "search.lag": lag})
    spec = replace(spec, space=MIXED)
    straight = run(make_suggester(spec, seed, DEFAULT, cost), 26, score, lag)
    done = [Observation(n, s.params, score(s.params)) for n, s in enumerate(straight, start=1)]
    seen = max(0, 26 - lag)
    again = make_suggester(spec, seed, DEFAULT, cost)
    assert again.suggest(26, done[:seen], [d.params for d in done[seen:25]]) == straight[25]


@pytest.mark.parametrize(
    ("method", "kind"),
    [("tpe", TpeSuggester), ("random", UniformSuggester), ("grid", GridSuggester)],
)
def test_the_search_file_chooses_the_method(method, kind):
    spec = load_search("bias", overrides={"search.method": method})
    assert isinstance(make_suggester(spec, 1, None, cost), kind)


def test_the_search_file_chooses_how_many_proposals_compete():
    found = {}
    for count in (1, 3):
        spec = load_search("als", overrides={"search.cheapest_of": count})
        suggester = make_suggester(spec, 1, None, lambda params: float(params["embedding_size"]))
        suggestions = run(suggester, 40, lambda params: -params["embedding_size"], lag=1)
        found[count] = [s.params["embedding_size"] for s in suggestions if s.origin == "tpe"]
    assert sum(found[3]) < sum(found[1])


def test_a_default_outside_the_space_is_refused():
    with pytest.raises(UsageError, match=r"damping\.user = 0"):
        make_suggester(load_search("bias"), 1, {"damping.user": 0.0, "damping.item": 1.0}, cost)


class TestDefaultParams:
    def test_plain_defaults_stand_for_every_part(self):
        complete = {"embedding_size": 50, "regularization": 0.1, "damping": {"user": 5, "item": 6}}
        assert default_params(load_search("als"), complete) == {
            "embedding_size": 50,
            "regularization.user": 0.1,
            "regularization.item": 0.1,
            "damping.user": 5.0,
            "damping.item": 6.0,
        }

    def test_they_are_clipped_into_the_space(self):
        spec = load_search("als", overrides={"space.embedding_size.max": 32})
        found = default_params(spec, {"embedding_size": 50, "regularization": 7, "damping": 0})
        assert found["embedding_size"] == 32
        assert found["regularization.user"] == 1.0
        assert found["damping.item"] == 1e-12
        spec.space.validate(found)

    def test_fixed_parameters_come_before_the_models_defaults(self):
        spec = load_search("als", overrides={"model.config.embedding_size": 16})
        assert default_params(spec, {"embedding_size": 50})["embedding_size"] == 16

    def test_a_parameter_without_a_default_gets_the_middle(self):
        assert default_params(load_search("bias"), {"damping": None}) == {
            "damping.user": pytest.approx(10**0.5),
            "damping.item": pytest.approx(10**0.5),
        }
