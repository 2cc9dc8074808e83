"""Builders over several runs: what may be compared, and what comes out, by construction."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from fabricate import Fabricated
from hypothesis import given
from hypothesis import strategies as st
from several import SPACE, better_trial, compared, make, profiled

from analysis import render_comparison, render_index
from analysis.catalogue import COLUMNS, catalogue_info, members_of, run_state
from analysis.comparable import basis_of, peers, same_users, why_not
from analysis.dataset_page import dataset_info
from analysis.formatting import ABSENT
from analysis.matrix import matrix_info
from analysis.naming import compare_folder, dataset_folder, group_folder, labels, slug
from analysis.paired import pairs_info
from analysis.plots import distributions, forest, lorenz, races, ratings
from analysis.profiles import read_profile
from analysis.side_by_side import metrics_info, models_info
from recsearch.comparison import Comparison
from recsearch.run import RunView
from recsearch.run_paths import RunPaths


@given(st.text(max_size=300), st.text(max_size=80))
def test_folders_are_safe_whatever_runs_are_called(one, other):
    for name in (slug(one), dataset_folder(one, other), group_folder(one, other, [one])):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) or name.startswith("_")
        assert ".." not in name.split("/") and len(name.split("/")) == 1
    assert re.fullmatch(r"[A-Za-z0-9._+~-]+", compare_folder([one, other]))
    assert len(compare_folder([one * 9, other * 9])) < 120


RUNS = st.lists(st.text("ab+-./", min_size=1, max_size=6), min_size=2, max_size=3, unique=True)


@given(RUNS, RUNS)
def test_other_runs_are_compared_in_another_folder(one, other):
    assert (compare_folder(one) == compare_folder(other)) == (sorted(one) == sorted(other))


@given(st.lists(st.text("ab-", min_size=1, max_size=8), max_size=5, unique=True))
def test_labels_stay_different(names):
    found = labels(names)
    assert len(set(found)) == len(names)
    assert all(name.startswith(label) and label for name, label in zip(names, found, strict=True))


def test_data_sets_of_one_name_have_folders_of_their_own():
    assert dataset_folder("x", "a" * 64) != dataset_folder("x", "b" * 64)


def test_why_runs_cannot_be_compared(tmp_path):
    one = make(tmp_path, "one", [0.8])
    assert why_not(one, make(tmp_path, "same", [0.7])) == ""
    split = make(tmp_path, "split", [0.7], split="77")
    assert why_not(one, split).startswith("other splits of the same ratings (5e5e5e5e5e5e and 777")
    data = make(tmp_path, "data", [0.7], data="99", split="88")
    assert why_not(one, data).startswith("other ratings (MovieLens 1M, d1d1d1d1d1d1 and")
    ranks = make(tmp_path, "ranks", [0.7], metric="NDCG", direction="max")
    assert why_not(one, ranks) == "other objectives (RMSE and NDCG)"
    assert same_users([one, ranks])
    assert not same_users([one, split])
    found = peers([ranks, one, split, make(tmp_path, "two", [0.6])])
    assert [[run.path.name for run in each.runs] for each in found] == [
        ["two", "one"], ["ranks"], ["split"],
    ]  # fmt: skip
    assert [bool(each.apart) for each in found] == [False, True, True]


@pytest.mark.parametrize(
    ("direction", "metric", "best"), [("min", "RMSE", "a"), ("max", "NDCG", "c")]
)
def test_the_matrix_has_the_best_of_each_pair(tmp_path, direction, metric, best):
    kind = {"metric": metric, "direction": direction}
    make(tmp_path, "a", [0.5, 0.6], title="ALS", **kind)
    runs = [
        make(tmp_path / "x", "a", [0.5, 0.6], title="ALS", **kind),
        make(tmp_path / "x", "c", [0.7, 0.8], title="ALS", **kind),
        make(tmp_path / "x", "e", [0.65], title="EASE", **kind),
        make(tmp_path / "x", "f", [0.4], title="EASE", data="99", split="99", **kind),
    ]
    (matrix,) = matrix_info(catalogue_info(runs, pages={"a", "c"}))
    (als, cells), (ease, others) = matrix.rows
    assert (als, ease) == ("ALS", "EASE")
    here = next(k for k, cell in enumerate(cells) if cell is not None)
    assert cells[1 - here] is None
    assert cells[here].best.run == best
    assert cells[here].best.link == f"{best}/index.html"
    assert cells[here].remark == "best of 2 runs"
    assert cells[here].best_of_column
    assert cells[here].best.gain == pytest.approx(0.4 if direction == "min" else -0.1)
    assert [others[k].best.run for k in (here, 1 - here)] == ["e", "f"]
    assert [others[k].best_of_column for k in (here, 1 - here)] == [False, True]
    assert [column.split != "" for column in matrix.columns] == [True, True], "told apart"


def test_each_objective_has_a_matrix_of_its_own(tmp_path):
    runs = [make(tmp_path, "a", [0.5]), make(tmp_path, "b", [0.5], metric="NDCG", direction="max")]
    found = matrix_info(catalogue_info(runs, pages=set()))
    assert sorted((each.metric, each.direction) for each in found) == [
        ("NDCG", "max"), ("RMSE", "min"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "words", "ended"),
    [(0, "finished", True), (5, "finished, some trials erred", True), (130, "interrupted", False),
     (1, "failed (exit 1)", False), (None, "going on, or killed", False)],
)  # fmt: skip
def test_runs_say_how_they_ended(tmp_path, code, words, ended):
    view = make(tmp_path, "a", [0.5], exit_code=code)
    assert run_state(view) == (words, ended)
    (matrix,) = matrix_info(catalogue_info([view], pages=set()))
    assert matrix.rows[0][1][0].remark == ("" if ended else words)


def test_a_run_without_result_shows_as_such(tmp_path):
    (matrix,) = matrix_info(catalogue_info([make(tmp_path, "a", [], exit_code=1)], pages=set()))
    cell = matrix.rows[0][1][0]
    assert (cell.best.best, cell.best_of_column) == (None, False)
    assert cell.remark == "no result: failed (exit 1)"


def test_runs_without_result_beside_one_with_are_counted(tmp_path):
    runs = [make(tmp_path, "a", [0.5]), make(tmp_path, "b", [], exit_code=None)]
    (matrix,) = matrix_info(catalogue_info(runs, pages=set()))
    cell = matrix.rows[0][1][0]
    assert (cell.best.run, cell.remark) == ("a", "best of 2 runs; 1 without result")


def test_the_index_counts_time_at_work_and_of_all_workers(tmp_path):
    (group,) = catalogue_info([make(tmp_path, "a", [0.5, 0.6])], pages=set())
    cells = dict(zip(COLUMNS, (cell.text for cell in group.rows[0].cells), strict=True))
    # Two epochs of 4 s and a second before the end; 3.2 + 0.6 + 0.05 s of work in each.
    assert (cells["time at work"], cells["CPU time"]) == ("9.0 s", "7.7 s")


def test_distributions_by_hand(tmp_path):
    low = make(tmp_path, "a-x", [0.1, 0.2, 0.3, 0.4, 0.5])
    high = make(tmp_path, "b-x", [0.35])
    info = distributions.distributions_info([low, high, make(tmp_path, "c-x", [])])
    first, second = info.strips
    assert (first.label, first.quartiles, first.best.value) == ("a", (0.2, 0.3, 0.4), 0.1)
    assert second.quartiles == (0.35, 0.35, 0.35)
    assert len(distributions.table(info).rows) == 6
    assert "6 trials of 2 runs; further left is better" in distributions.caption(info)
    assert distributions.distributions_info([make(tmp_path, "d", [])]) is None


def test_every_best_stays_inside_the_axis_and_what_does_not_is_counted(tmp_path):
    values = [0.1 + 0.001 * k for k in range(20)]
    info = distributions.distributions_info(
        [make(tmp_path, "good", [*values, 5.0]), make(tmp_path, "poor", [0.9])]
    )
    assert all(info.limits.holds(strip.best.value) for strip in info.strips)
    assert [strip.beyond for strip in info.strips] == [1, 0]
    assert "1 trial beyond the axis" in distributions.caption(info)
    assert "+1" in distributions.draw_distributions(info, "d")


@pytest.mark.parametrize(
    ("direction", "steps"), [("min", ((1, 0.5), (3, 0.4))), ("max", ((1, 0.5), (2, 0.6)))]
)
def test_races_keep_what_improves(tmp_path, direction, steps):
    metric = "RMSE" if direction == "min" else "NDCG"
    runs = [make(tmp_path, name, [0.5, 0.6, 0.4, 0.45], metric=metric, direction=direction)
            for name in ("a", "b")]  # fmt: skip
    info = races.races_info(runs)
    assert info.races[0].steps == steps
    assert info.races[0].end == 4
    assert races.table(info).rows[0] == ("a", 1, 0.5)
    assert races.races_info([make(tmp_path, "c", [0.3])]) is None


def test_an_end_beyond_the_axis_is_named(tmp_path):
    runs = [make(tmp_path, f"r{k}", [0.9, 0.5 + 0.01 * k]) for k in range(6)]
    info = races.races_info([*runs, make(tmp_path, "bad", [9.0, 8.0])])
    assert info.beyond == ("bad",)
    assert "Ends beyond the axis: bad (8.0000)." in races.caption(info)
    assert "<svg" in races.draw_races(info, "r")


def row(metric="RMSE", one="a", other="b", difference=-0.1, low=-0.2, high=-0.05, mean=0.5):
    better = one if (difference < 0) == (metric == "RMSE") else other
    means, p_values = (mean + difference, mean), (0.01, 0.02, 0.03, 0.04)
    return Comparison(metric, one, other, *means, difference, low, high, *p_values, -0.3, -0.4,
                      better, None, 100)  # fmt: skip


NAMES = {name: name.upper() for name in "abcdefghij"}


def test_a_gain_points_right_in_either_direction():
    info = forest.forest_info([row(), row("NDCG")], "RMSE", NAMES)
    rmse, ndcg = info.rows
    assert (rmse.gain, rmse.low, rmse.high) == pytest.approx((0.2, 0.1, 0.4))
    assert (ndcg.gain, ndcg.low, ndcg.high) == pytest.approx((-0.2, -0.4, -0.1))
    assert (rmse.certain, ndcg.certain) == (True, True)
    assert not forest.forest_info([row(high=0.01)], "RMSE", NAMES).rows[0].certain
    assert [each.label for each in info.rows] == ["RMSE", "NDCG"]
    assert forest.table(info).rows[0][:3] == ("a", "b", "RMSE")
    assert "up to 100 users" in forest.caption(info)
    assert "gain, %" in forest.draw_forest(info, "f")


def test_several_pairs_are_drawn_by_the_objective():
    rows = [row(m, *pair) for pair in ("ab", "ac", "bc") for m in ("RMSE", "NDCG")]
    info = forest.forest_info(rows, "RMSE", NAMES)
    assert [each.label for each in info.rows] == ["A over B", "A over C", "B over C"]
    assert info.left_out == 3
    assert "3 further comparisons in the table" in forest.caption(info)


def test_of_many_pairs_those_with_the_winner_are_drawn():
    rows = [row("RMSE", *pair) for pair in combinations("abcdefg", 2)]
    info = forest.forest_info(rows, "RMSE", NAMES)
    assert [each.label for each in info.rows] == [f"A over {other}" for other in "BCDEFG"]


def test_what_has_no_share_is_left_out():
    far = row("NDCG", difference=0.5, low=0.4, high=0.6, mean=1e-3)
    assert [each.metric for each in forest.forest_info([row(), far], "RMSE", NAMES).rows] == [
        "RMSE"
    ]
    assert forest.forest_info([far], "RMSE", NAMES) is not None, "nothing else is there"
    assert forest.forest_info([row(mean=0.0)], "RMSE", NAMES) is None
    nan = row(low=float("nan"), high=float("nan"))
    assert forest.forest_info([nan], "RMSE", NAMES) is None


def test_the_best_of_a_metric_is_told_where_users_are_the_same(tmp_path):
    runs = [make(tmp_path, "a", [0.5]), make(tmp_path, "b", [0.4]), make(tmp_path, "c", [])]
    info = metrics_info(runs)
    assert [line[:3] for line in info.rows] == [("a", 1, 1), ("b", 1, 1)]
    assert [(column.name, column.leader) for column in info.columns] == [("RMSE", 1)]
    other = make(tmp_path, "d", [0.1], split="77")
    assert metrics_info([*runs, other]).columns[0].leader is None
    up = {"metric": "NDCG", "direction": "max"}
    ranks = [make(tmp_path, "e", [0.5], **up), make(tmp_path, "f", [0.4], **up)]
    assert metrics_info(ranks).columns[0].leader == 0
    assert metrics_info([runs[2]]) is None


def test_configurations_show_what_differs(tmp_path):
    a = make(tmp_path, "a", [0.5, 0.6])
    b = make(tmp_path, "b", [0.6, 0.5, 0.7])
    c = make(tmp_path, "c", [0.6], model="other:Model")
    same, alone = models_info([a, b, c])
    assert same.runs == ("a", "b")
    assert same.differing == (("x", ("1", "2")),)
    assert same.equal == (("fixed", "1"), ("epochs", "1"))
    assert same.settings == (("trials", ("2", "3")),)
    assert (alone.single, alone.differing, alone.equal) == (
        True, (("fixed", ("1",)), ("x", ("1",)), ("epochs", ("1",))), (),
    )  # fmt: skip


def test_true_is_not_one_and_what_is_absent_differs(tmp_path):
    spaces = [{"x": {"type": "float", "min": 0, "max": high}} for high in (1, 2)]
    a, b = (make(tmp_path, name, [0.5], space=s) for name, s in zip("ab", spaces, strict=True))
    (info,) = models_info([a, b])
    assert info.settings == (("range of x", ("float, uniform: 0 to 1", "float, uniform: 0 to 2")),)


def test_a_stored_comparison_holds_until_a_run_has_another_best(tmp_path):
    a, b = make(tmp_path, "a", [0.5]), make(tmp_path, "b", [0.6])
    command = "recsearch compare runs/a runs/b"
    assert pairs_info([a, b]) == ((), command)
    compared([a, b], {"RMSE": [0.1, 0.2, 0.3, 0.5]}, {"RMSE": [0.2, 0.4, 0.6, 0.8]})
    (info,), missing = pairs_info([b, a])
    assert (info.stale, missing, info.command) == ("", "", command)
    assert info.rows[0].gain == "+0.225"
    assert (info.rows[0].pair, info.rows[0].better) == ("a over b", "a")
    assert info.forest.rows[0].gain == pytest.approx(0.225 / 0.5)
    b = better_trial(b, 0.4)
    (info,), missing = pairs_info([a, b])
    assert info.stale == "The best of b was trial 1, epoch 1 then, and is trial 2, epoch 1 now."
    assert (info.forest, missing) == (None, ""), "its own command is shown"


def test_a_worse_trial_leaves_a_comparison_as_it_is(tmp_path):
    a, b = make(tmp_path, "a", [0.5]), make(tmp_path, "b", [0.6])
    compared([a, b], {"RMSE": [0.1, 0.2]}, {"RMSE": [0.2, 0.4]})
    assert pairs_info([a, better_trial(b, 0.9)]).stored[0].stale == ""


def test_a_comparison_of_all_runs_stands_for_those_of_some(tmp_path):
    a, b, c = (make(tmp_path, name, [0.5]) for name in "abc")
    columns = [{"RMSE": [0.1 * k, 0.2, 0.3]} for k in (1, 2, 3)]
    compared([a, b], *columns[:2])
    found = pairs_info([a, b, c])
    assert [info.title for info in found.stored] == ["a, b on the validation part"]
    assert found.missing == "recsearch compare runs/a runs/b runs/c"
    compared([a, b, c], *columns)
    found = pairs_info([a, b, c])
    assert [info.title for info in found.stored] == ["a, b, c on the validation part"]
    assert found.missing == ""
    assert [info.title for info in pairs_info([b, a]).stored] == ["a, b on the validation part"]
    assert pairs_info([b, c]).stored == ()


def test_a_comparison_of_another_run_of_that_name_is_none(tmp_path):
    a, b = make(tmp_path, "a", [0.5]), make(tmp_path, "b", [0.6])
    compared([a, b], {"RMSE": [0.1, 0.2]}, {"RMSE": [0.2, 0.4]})
    b.identity["run_id"] = "another"
    assert pairs_info([a, b]).stored == ()


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"format": 1, "kind": "validation", "runs": 3}']
)
def test_a_damaged_comparison_is_as_good_as_absent(tmp_path, text):
    a, b = make(tmp_path, "a", [0.5]), make(tmp_path, "b", [0.6])
    compared([a, b], {"RMSE": [0.1, 0.2]}, {"RMSE": [0.2, 0.4]})
    (path,) = RunPaths(a.path).comparisons.iterdir()
    path.write_text(text)
    assert pairs_info([a, b]).stored == ()


def test_an_effect_without_bound_is_kept(tmp_path):
    """Every user differs by the same: d is infinite, which JSON has no number for."""
    a, b = make(tmp_path, "a", [0.5]), make(tmp_path, "b", [0.6])
    (kept,) = compared([a, b], {"RMSE": [0.25, 0.5, 0.75]}, {"RMSE": [0.5, 0.75, 1.0]})
    (info,) = pairs_info([a, b]).stored
    assert info.table.rows == (tuple(vars(kept).values()),)
    assert info.rows[0].effect == "not finite"


def test_profiles_of_other_ratings_or_damaged_are_passed_over(tmp_path):
    view = make(tmp_path, "a", [0.5])
    assert read_profile(view) is None
    profiled(view)
    found = read_profile(view)
    assert (found.n_items, found.items.number, found.users.lorenz[1]) == (4, 3, (0.5, 0.25))
    for wrong in ({"dataset_id": "other"}, {"n_users": "many"}, {"density": float("nan")},
                  {"items": None}, {"format": 2}, {"histogram": [3]}):  # fmt: skip
        profiled(view, **wrong)
        assert read_profile(view) is None, wrong


def test_figures_of_a_profile(tmp_path):
    view = make(tmp_path, "a", [0.5])
    profiled(view)
    profile = read_profile(view)
    curve = lorenz.lorenz_info(profile)
    # The last tenth of the line from (0.5, 0.25) to (1, 1) rises by 0.15.
    assert curve.top_tenth == pytest.approx(0.15)
    given_ = ratings.ratings_info(profile)
    assert given_.mean == pytest.approx((2 * 1 + 4 * 5) / 6)
    assert ratings.table(given_).rows[1] == (5.0, 5.0, 4, 4 / 6)
    assert ratings.ratings_info(profile._replace(histogram=profile.histogram[:1])) is None


def test_a_data_set_lists_its_parts_and_runs(tmp_path):
    parts = [{"split_id": "5e" * 32, "heldout_items": 50, "unknown_items": 2,
              "heldout_ratings": 100, "unknown_ratings": 5}]  # fmt: skip
    a, b = make(tmp_path, "a", [0.5]), make(tmp_path, "b", [0.4], split="77")
    profiled(a, parts=parts)
    info = dataset_info(members_of([a, b]), {"a"})
    assert [(line.run, line.link) for line, _ in info.runs] == [
        ("a", "../../a/index.html"), ("b", ""),
    ]  # fmt: skip
    first, second = info.splits
    assert first.method == "crossfold-users, folds 5, holdout 5, seed 20260701"
    assert first.cells[-1] == "2 of 50 items, 5.0 % of the ratings"
    assert second.cells[-1] == ABSENT
    assert ("items", "4", "1 never rated") in info.facts
    assert ("time span", "2000 to 2001", "2000-01-01 to 2001-02-03") in info.facts
    assert info.command == "recsearch data profile runs/a"
    assert basis_of(a).splits == ("5e" * 32,)


def test_a_digest_is_no_run(tmp_path):
    """Names that are no safe folder names get a digest, which the index leaves out."""
    runs = [make(tmp_path / "runs", name, [0.8]).path for name in ("als", "x y")]
    runs += [make(tmp_path / "runs", "b", [0.9]).path]
    for chosen in (runs[:2], runs[::2]):
        render_comparison(chosen, tmp_path / "reports")
    page = render_index(runs, tmp_path / "reports").read_text()
    listed = page[page.index("Comparisons of chosen runs") :]
    assert re.findall(r'index\.html">([^<]*)</a>', listed) == ["als, b", "als, x-y"]


def test_the_index_says_what_came_from_the_store(tmp_path):
    run = Fabricated(name="cached", trials=2, space=SPACE)
    run.opened()
    run.trial(1, {"x": 1.0}, [0.9, 0.8], cached=True)
    run.trial(2, {"x": 2.0}, [0.9])
    view = RunView.open(run.write(tmp_path))
    ((row,),) = [group.rows for group in catalogue_info([view], pages=set())]
    cells = dict(zip(COLUMNS, row.cells, strict=True))
    assert (cells["epochs"].text, cells["from the store"].text) == ("3", "2")
