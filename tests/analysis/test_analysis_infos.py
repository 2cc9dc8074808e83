"""The pure builders behind tables and plots, on runs whose numbers are known."""

from __future__ import annotations

import math
import re
from datetime import timedelta

import pytest
from fabricate import ML1M, START, Fabricated, als_run

from analysis.catalogue import catalogue_info
from analysis.overview import dataset_notes, facts, overview_info
from analysis.parameters import parameters_info
from analysis.plots.comparison import comparison_info
from analysis.plots.curves import best_curve_info, draw_longest_curves, longest_curves_info
from analysis.plots.front import caption as front_caption
from analysis.plots.front import draw_front, front_info, staircase
from analysis.plots.histogram import histogram_info
from analysis.plots.progress import progress_by_time_info, progress_by_trial_info
from analysis.plots.slices import caption, slices_info
from analysis.reproduce import reproduce_info
from analysis.results import best_info, checkpoints_info, trials_info
from analysis.values import active_seconds, points, references, sessions
from recsearch.run import RunView

SPACE = {"x": {"type": "float", "min": 0.0, "max": 10.0}}


def small(root, curves, *, metric="RMSE", direction="min", planned=None, **settings):
    """A run with the given (curve, state) per trial over one parameter x = trial number."""
    run = Fabricated(metric=metric, direction=direction, space=SPACE,
                     trials=planned or len(curves), **settings)  # fmt: skip
    run.opened()
    if metric == "RMSE":
        run.baseline("bias", RMSE=0.9)
    else:
        run.baseline("popular", **{metric: 0.1})
        run.baseline("chance", **{metric: 0.02})
    for number, (curve, state) in enumerate(curves, start=1):
        origin = "default" if number == 1 else "tpe"
        run.trial(number, {"x": float(number)}, curve, state=state, origin=origin)
    run.closed()
    return RunView.open(run.write(root))


def test_each_trial_counts_with_its_best_epoch_not_its_last(tmp_path):
    view = small(tmp_path, [([0.9, 0.8, 0.85], "done"), ([0.95, math.nan], "pruned"),
                            ([math.nan], "error"), ([], "queued")])  # fmt: skip
    assert [(p.trial, p.state, p.value, p.epoch) for p in points(view)] == [
        (1, "done", 0.8, 2),
        (2, "pruned", 0.95, 1),
    ]


def test_verdict_compares_with_baseline_and_default(tmp_path):
    view = small(tmp_path, [([0.85], "done"), ([0.88, 0.81, 0.82], "done")])
    info = overview_info(view)
    assert info.verdict == (
        "The best RMSE, 0.81000 (trial 2, epoch 2), is 0.09 (10.0 %) better than the tuned bias "
        "baseline and 0.04 (4.7 %) better than the default configuration."
    )
    assert info.baseline.gain == pytest.approx(0.09)
    assert info.default.gain == pytest.approx(0.04)
    assert info.chance is None


def test_verdict_of_a_maximised_objective(tmp_path):
    view = small(tmp_path, [([0.10], "done"), ([0.2, 0.3], "done")], metric="NDCG@10",
                 direction="max")  # fmt: skip
    info = overview_info(view)
    assert info.best.value == 0.3
    assert info.baseline.gain == pytest.approx(0.2)
    assert "0.2 (200.0 %) better than the popularity baseline, 15 times the chance" in info.verdict
    assert "0.2 (200.0 %) better than the default configuration" in info.verdict


def test_verdict_says_when_the_model_does_not_pay(tmp_path):
    view = small(tmp_path, [([0.95], "done"), ([0.96], "done")])
    info = overview_info(view)
    assert info.baseline.gain == pytest.approx(-0.05)
    assert "worse than the tuned bias baseline" in info.verdict
    assert "which no other trial improves on" in info.verdict
    assert info.verdict.endswith("this model does not pay on this data set.")


def test_verdict_without_baseline(tmp_path):
    run = Fabricated(space=SPACE, trials=1)
    run.opened()
    run.trial(1, {"x": 1.0}, [0.8])
    info = overview_info(RunView.open(run.write(tmp_path)))
    assert "nothing to be compared with" in info.verdict
    assert info.baseline is None


def test_doubts_name_edge_few_trials_last_epoch_unfinished_and_errors(tmp_path):
    curves = [([0.9], "error")] + [([1 - 0.01 * n, 0.8 - 0.01 * n], "done") for n in range(9)]
    view = small(tmp_path, curves, planned=30, max_epochs=2)
    doubts = " ".join(overview_info(view).doubts)
    assert "10 of 30 trials have ended" in doubts
    assert "The best x, 10, lies at the upper edge of its range (0 to 10)" in doubts
    assert "trials finished" not in doubts, "few, but more are to come"
    assert "last one allowed (2)" in doubts
    assert "1 trial ended in an error" in doubts
    ended = small(tmp_path / "ended", curves, max_epochs=2)
    assert "Only 9 trials finished" in " ".join(overview_info(ended).doubts)


def test_a_sound_search_raises_no_doubt_but_what_was_not_measured(tmp_path):
    curves = [([0.9 - 0.01 * (n == 5), 0.95], "done") for n in range(1, 31)]
    view = small(tmp_path, curves, max_epochs=10)
    assert len(overview_info(view).doubts) == 1
    assert "was not measured: recsearch compare" in overview_info(view).doubts[0]
    late = small(tmp_path / "late", [([0.9 - 0.001 * n, 0.95], "done") for n in range(1, 10)]
                 + [([0.9, 0.95], "done")] * 20 + [([0.8, 0.95], "done")])  # fmt: skip
    assert any("came late, at trial 30 of 30" in doubt for doubt in overview_info(late).doubts)


@pytest.mark.parametrize(
    ("dataset", "note"),
    [
        ({"official": True}, None),
        ({"official": None}, None),
        ({"official": False}, "Not the official archive"),
        ({"generated": True, "official": None}, "Generated ratings"),
        ({"official": False, "notes": ["not the official archive: ab12"]}, "ab12"),
    ],
)
def test_what_must_be_known_about_the_data_is_noted_once(dataset, note):
    notes = dataset_notes({"dataset": {**ML1M, **dataset}})
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]


def test_elapsed_time_leaves_pauses_out(tmp_path):
    run = Fabricated(space=SPACE, trials=2)
    run.opened()
    run.trial(1, {"x": 1.0}, [0.9, 0.8])  # 8 s; killed without a closing line
    run.tick(3600)
    run.opened(resumed=True)
    run.trial(2, {"x": 2.0}, [0.7])  # 4 s
    run.closed()  # 1 s
    view = RunView.open(run.write(tmp_path))
    spans = sessions(view)
    assert [(s.end - s.start).total_seconds() for s in spans] == [8, 5]
    assert active_seconds(spans) == 13
    assert active_seconds(spans, START + timedelta(seconds=100)) == 8
    info = progress_by_time_info(view)
    assert info.steps == ((4.0, 0.9), (8.0, 0.8), (12.0, 0.7))
    assert info.end == 13


def test_slices_follow_scale_state_and_best(tmp_path):
    run = Fabricated(trials=3, space={
        "size": {"type": "int", "min": 8, "max": 1024, "scale": "pow2"},
        "loss": {"type": "choice", "choices": ["bpr", "warp"]},
        "bias": {"type": "bool"},
        "layers": {"type": "int", "min": 1, "max": 3},
        "neg": {"type": "int", "min": 1, "max": 40, "when": {"loss": "warp"}},
    })  # fmt: skip
    run.opened()
    run.trial(1, {"size": 8, "loss": "bpr", "bias": True, "layers": 1}, [0.9])
    run.trial(2, {"size": 64, "loss": "warp", "bias": False, "layers": 3, "neg": 4}, [0.8, 0.85])
    run.trial(3, {"size": 1024, "loss": "warp", "bias": False, "layers": 2, "neg": 9}, [1.0],
              state="pruned")  # fmt: skip
    info = slices_info(RunView.open(run.write(tmp_path)))
    size, loss, bias, layers, neg = info.slices
    assert [s.name for s in info.slices] == ["size", "loss", "bias", "layers", "neg"]
    assert (size.scale, size.x, size.best_x) == ("log2", (8.0, 64.0, 1024.0), 64.0)
    assert [t.label for t in loss.ticks] == ["bpr", "warp"]
    assert [round(x) for x in loss.x] == [0, 1, 1]
    assert [round(x) for x in bias.x] == [1, 0, 0]
    assert [round(x) for x in layers.x] == [1, 3, 2]
    assert neg.x == (4.0, 9.0)
    assert [p.trial for p in neg.points] == [2, 3]
    assert info.best.value == 0.8
    assert info.states() == {"done", "pruned"}
    assert "3 trials with a finite value" in caption(info)


def test_slices_count_clipped_trials(tmp_path):
    curves = [([0.80 + 0.01 * n], "done") for n in range(8)] + [([9.0], "done"), ([8.0], "done")]
    info = slices_info(small(tmp_path, curves))
    assert info.limits.clipped == 2
    assert "2 trials beyond the axis" in caption(info)


def test_histogram_counts_epochs_by_state(tmp_path):
    view = small(tmp_path, [([1.0] * 3, "done"), ([1.0] * 3, "done"), ([1.0], "pruned"),
                            ([], "error"), ([1.0] * 2, "training"), ([], "queued")])  # fmt: skip
    info = histogram_info(view)
    assert info.starts == (0, 1, 2, 3)
    assert info.counts == {
        "done": (0, 0, 0, 2),
        "pruned": (0, 1, 0, 0),
        "error": (1, 0, 0, 0),
        "unfinished": (0, 0, 1, 0),
    }
    assert info.n == 5


def test_histogram_of_long_trials_is_binned_and_complete(tmp_path):
    view = small(tmp_path, [([1.0] * n, "done") for n in (200, 199, 5, 1)])
    info = histogram_info(view)
    assert len(info.starts) <= 41
    assert sum(info.counts["done"]) == 4
    assert info.counts["done"][200 // info.width] >= 1


def test_one_shot_models_have_no_curves(tmp_path):
    view = small(tmp_path, [([0.9], "done"), ([0.8], "done")])
    assert histogram_info(view) is None
    assert best_curve_info(view) is None
    assert longest_curves_info(view) is None
    assert progress_by_trial_info(view).steps == ((1.0, 0.9), (2.0, 0.8))


def test_curves_hold_the_best_and_the_longest(tmp_path):
    view = small(tmp_path, [([0.9] * n, "done") for n in range(2, 14)]
                 + [([0.95, 0.7, math.nan, 0.9], "pruned")])  # fmt: skip
    best = best_curve_info(view)
    assert best.best == (13, 2, 0.7)
    assert best.curves[0].epochs == (1, 2, 3, 4)
    assert math.isnan(best.curves[0].values[2])
    longest = longest_curves_info(view)
    assert [c.trial for c in longest.curves] == [13, 12, 11, 10, 9, 8, 7, 6]


def test_progress_is_monotone_in_the_direction(tmp_path):
    view = RunView.open(als_run(tmp_path))
    for info in (progress_by_trial_info(view), progress_by_time_info(view)):
        values = [value for _, value in info.steps]
        assert values == sorted(values, reverse=True)
        assert values[-1] == view.best()[1].value("RMSE")
        assert [at for at, _ in info.steps] == sorted(at for at, _ in info.steps)


def test_best_shows_all_metrics_of_that_very_epoch(tmp_path):
    run = Fabricated(space=SPACE, trials=1)
    run.opened()
    run.baseline("bias", RMSE=0.9, MAE=0.7)
    run.trial(1, {"x": 0.1234567890123456}, [0.8, 0.9], extra={"MAE": 0.6, "Odd": 1.0})
    info = best_info(RunView.open(run.write(tmp_path)))
    assert (info.trial, info.epoch) == (1, 1)
    assert [(r.name, r.direction, r.value, r.baselines) for r in info.metrics] == [
        ("RMSE", "lower", 0.8, (0.9,)),
        ("MAE", "lower", 0.6, (0.7,)),
        ("Odd", "", 1.0, (None,)),
    ]
    assert '"x": 0.1234567890123456' in info.config_json
    assert '"epochs": 1' in info.config_json


def test_trials_are_ranked_best_first_in_either_direction(tmp_path):
    curves = [([0.3], "done"), ([0.5], "done"), ([0.4], "pruned"), ([math.nan], "error")]
    low = small(tmp_path / "a", curves)
    high = small(tmp_path / "b", curves, metric="NDCG", direction="max")
    assert [row.number for row in trials_info(low)] == [1, 3, 2]
    assert [row.number for row in trials_info(high)] == [2, 3, 1]
    assert [row.number for row in trials_info(high, top=1)] == [2]
    assert trials_info(low)[0].best


def test_checkpoints_leave_cached_epochs_out(tmp_path):
    view = RunView.open(als_run(tmp_path))
    info = checkpoints_info(view)
    trained = view.counts["epochs"] - view.counts["cached_epochs"]
    assert 0 < info.epochs == trained < view.counts["epochs"]
    assert info.stored == 700_000 * trained
    assert info.ratio == pytest.approx(25 / 7)
    assert info.save_share == pytest.approx(0.05 / 3.85)


def test_reproduce_gives_commands_ids_and_digest(tmp_path):
    view = RunView.open(als_run(tmp_path))
    info = reproduce_info(view, "s3://key:secret@bucket/store?token=1")
    assert [command for command, _ in info.commands] == [
        "recsearch search searches/als.toml ml1m",
        "recsearch verify runs/als-ml1m --store s3://bucket/store",
        "recsearch load runs/als-ml1m --store s3://bucket/store",
    ]
    assert info.ids[0] == ("dataset_id", "d1" * 6, "d1" * 32)
    assert (info.seed, info.archive_sha256) == ("42", "a6" * 32)
    assert info.official == "the official archive"


def test_references_skip_what_was_not_measured(tmp_path):
    view = RunView.open(als_run(tmp_path))
    assert [(r.name, r.value) for r in references(view)] == [("bias", 0.8574)]


def test_parameters_show_choices_conditions_and_absence(tmp_path):
    run = Fabricated(trials=1, space={
        "loss": {"type": "choice", "choices": ["bpr", 2, True]},
        "neg": {"type": "int", "min": 1, "max": 10, "when": {"loss": "warp"}},
        "flag": {"type": "bool"},
        "rate": {"type": "float", "min": 0.001, "max": 0.1, "scale": "log"},
    })  # fmt: skip
    run.opened()
    run.trial(1, {"loss": "bpr", "flag": False, "rate": 0.1}, [0.8])
    rows = {row.name: row for row in parameters_info(RunView.open(run.write(tmp_path)))}
    assert rows["loss"].range_text == "bpr, 2, true"
    assert (rows["neg"].condition, rows["neg"].selected_text) == ("loss = warp", "\N{EN DASH}")
    assert (rows["flag"].range_text, rows["flag"].selected_text) == ("false, true", "false")
    assert (rows["rate"].distribution, rows["rate"].edge) == ("log-uniform", "upper")


def test_facts_of_an_empty_run(tmp_path):
    view = RunView.open(Fabricated().write(tmp_path))
    info = overview_info(view)
    assert info.best is None
    assert info.verdict.startswith("No trial has an epoch with a finite RMSE yet")
    labels = [label for label, _, _ in facts(view, info)]
    assert labels == ["trials", "epochs trained", "time at work", "CPU time of trials"]


def test_index_groups_comparable_runs_best_first(tmp_path):
    runs = [
        small(tmp_path, [([0.85], "done"), ([0.8], "done")], name="worse"),
        small(tmp_path, [([0.7], "done")], name="better"),
        small(tmp_path, [], planned=5, name="empty"),
        small(tmp_path, [([0.2], "done")], name="ranks", metric="NDCG", direction="max"),
    ]
    groups = catalogue_info(runs, pages={"better"})
    assert [[row.run for row in group.rows] for group in groups] == [
        ["ranks"],
        ["better", "worse", "empty"],
    ]
    better, worse, _ = groups[1].rows
    assert (better.link, worse.link) == ("better/index.html", "")
    assert worse.gain == pytest.approx(0.1)
    bars = comparison_info(groups[1]).bars
    assert bars == (("better", 0.7, 0.7, 0.9), ("worse", 0.8, 0.85, 0.9))
    assert comparison_info(groups[0]) is None


def test_the_plot_of_a_front_shows_every_epoch_and_all_of_the_front(tmp_path):
    run = Fabricated(others=("NDCG@10", "MAE"), trials=4)
    run.opened()
    curves = [(0.80, 0.10, 0.9), (0.85, 0.30, 0.8), (5.0, 0.50, 0.7), (0.86, 0.20, 0.5)]
    for number, (rmse, ndcg, mae) in enumerate(curves, start=1):
        run.trial(number, {}, [9.0, rmse], extra={"NDCG@10": ndcg, "MAE": mae})
    info = front_info(RunView.open(run.write(tmp_path)))
    assert info.front == ((0.80, 0.10), (0.85, 0.30), (0.86, 0.20), (5.0, 0.50))
    assert staircase(info) == ((0.80, 0.10), (0.85, 0.30), (5.0, 0.50)), "MAE is not drawn"
    assert all(info.limits[0].holds(x) and info.limits[1].holds(y) for x, y in info.front)
    assert len(info.others) == 4
    assert info.directions == ("min", "max")
    assert "8 epochs" in front_caption(info)
    assert "all 3 objectives" in front_caption(info)
    assert draw_front(info) == draw_front(info)


def test_a_run_with_one_objective_has_no_plot_of_a_front(tmp_path):
    assert front_info(small(tmp_path, [([0.9, 0.8], "done")])) is None


def test_leaders_of_curves_beyond_the_axis_stay_in_the_figure(tmp_path):
    trials = [([0.9, 0.8 + n / 100, 0.8], "done") for n in range(6)]
    view = small(tmp_path, [*trials, ([90.0, 80.0, 70.0], "done")])
    info = longest_curves_info(view)
    assert info.limits.clipped == 3
    leaders = re.findall(r'd="(M [^"]* Q [^"]*)"', draw_longest_curves(info))
    assert len(leaders) == 7
    ys = [float(y) for leader in leaders for y in re.findall(r"[\d.-]+ ([\d.-]+)", leader)]
    assert all(0 <= y <= 250 for y in ys)
