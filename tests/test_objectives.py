"""A search with several objectives, from its file to its front. No Ray."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from search_tools import fold_plan, plan, planted_folds, search_without_ray
from spec_files import FILE

from recsearch.cli.runs import best
from recsearch.cli.store.keep import prune
from recsearch.cli.summary import result_lines
from recsearch.errors import SpecError
from recsearch.evaluation import parse
from recsearch.journal import JournalInMemory
from recsearch.keeping import ManyRetention, record_of, retention_of
from recsearch.ledger import Ledger
from recsearch.loading import open_checkpoint
from recsearch.models import resolve
from recsearch.pareto import dominates, losses
from recsearch.plan import CLAIM
from recsearch.planner import Planner
from recsearch.pruning import Rule
from recsearch.record import Record
from recsearch.run import RunView
from recsearch.run_paths import RunPaths
from recsearch.spec import SearchSpec, load_search
from recsearch.stopping import Plateau
from recsearch.store import Store
from recsearch.store.retention import TrialRecords
from recsearch.suggest import Suggestion
from recsearch.trial import run_trial
from recsearch.verification import read_config, verify

BOTH = ["RMSE", "NDCG@10"]
METRICS = tuple(map(parse, BOTH))


class TestTheFile:
    def load(self, tmp_path: Path, metric: str) -> SearchSpec:
        path = tmp_path / "mine.toml"
        path.write_text(FILE.replace('metric = "RMSE"', f"metric = {metric}"), encoding="utf-8")
        return load_search(path)

    def test_several_metrics_are_read_written_and_read_again(self, tmp_path: Path) -> None:
        spec = self.load(tmp_path, '["RMSE", "NDCG@10"]')
        assert (spec.search.metric, spec.search.objectives) == ("RMSE", ("RMSE", "NDCG@10"))
        assert [(m.name, m.direction) for m in spec.objectives] == [
            ("RMSE", "min"), ("NDCG@10", "max")
        ]  # fmt: skip
        written = json.loads(json.dumps(spec.resolved()))
        assert written["search"]["metric"] == "RMSE"
        assert written["search"]["objectives"] == BOTH
        again = SearchSpec.from_resolved(written)
        assert (again.search, again.resolved()) == (spec.search, spec.resolved())

    @pytest.mark.parametrize("metric", ['"RMSE"', '["RMSE"]'])
    def test_a_search_for_one_is_recorded_as_ever(self, tmp_path: Path, metric: str) -> None:
        spec = self.load(tmp_path, metric)
        assert spec.search.objectives == ("RMSE",)
        assert spec.resolved()["search"].keys().isdisjoint({"objectives", "constraints"})
        assert SearchSpec.from_resolved(spec.resolved()).search == spec.search

    @pytest.mark.parametrize(
        ("metric", "problem"),
        [
            ('["RMSE", "RMSE"]', "search.metric: RMSE occurs twice, expected distinct metrics"),
            ("[]", "search.metric: [] does not fit, expected a metric such as"),
            ('["RMSE", 3]', "search.metric: 3 does not fit, expected names of metrics"),
            ('["RMSE", "NDGC"]', "Did you mean NDCG"),
            ('["RMSE", "MAE"]\nobjectives = ["MAE"]', "is not what metric says"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, metric: str, problem: str) -> None:
        with pytest.raises(SpecError) as caught:
            self.load(tmp_path, metric)
        assert problem in str(caught.value)


class Hopeless:
    """Prunes by one direction alone."""

    name = "hopeless"

    def __init__(self, *directions: str):
        self.directions = directions

    def keep(self, history: Any, peers: Any, direction: str) -> bool:
        return direction not in self.directions


def desk() -> Ledger:
    ledger = Ledger(JournalInMemory(), Record(METRICS[0], METRICS[1:]), lag=1)
    ledger.suggested(1, {}, {}, "k", "tpe")
    ledger.started(1)
    return ledger


@pytest.mark.parametrize(
    ("rule", "pruned"),
    [(Hopeless("min"), False), (Hopeless("max"), False), (Hopeless("min", "max"), True)],
)
def test_a_trial_is_pruned_only_if_it_is_hopeless_by_every_objective(
    rule: Rule, pruned: bool
) -> None:
    outcome = {"epoch": 1, "metrics": {"RMSE": 0.9, "NDCG@10": 0.1}, "finished": None}
    assert desk().report(1, {"outcome": outcome}, rule) is pruned


def test_a_trial_stops_only_where_it_would_by_every_objective() -> None:
    one = plan(stop=Plateau(patience=1, grace=1), max_epochs=9)
    two = plan(stop=Plateau(patience=1, grace=1), max_epochs=9, others=("NDCG@10",))

    def rows(*values: tuple[float, float]) -> list[dict[str, Any]]:
        return [{"metrics": {"RMSE": rmse, "NDCG@10": ndcg}} for rmse, ndcg in values]

    assert one.finish_reason(rows((0.9, 0.1), (0.9, 0.2))) == "plateau"
    assert two.finish_reason(rows((0.9, 0.1), (0.9, 0.2))) is None, "NDCG gets better"
    assert two.finish_reason(rows((0.9, 0.1), (0.8, 0.1))) is None, "RMSE gets better"
    assert two.finish_reason(rows((0.9, 0.1), (0.9, 0.1))) == "plateau"


def records(number: int, values: list[tuple[float, float]], *, ended: bool) -> TrialRecords:
    judged = [
        record_of(epoch, dict(zip(BOTH, each, strict=True)), METRICS)
        for epoch, each in enumerate(values, start=1)
    ]
    return TrialRecords(number, tuple(judged), ended=ended)


class TestRetention:
    # Its own front: epochs 1, 2, 3; epoch 4 is the last.
    CURVE = [(0.9, 0.10), (0.95, 0.20), (1.0, 0.30), (1.1, 0.05)]  # noqa: RUF012

    def keeping(self, text: str) -> ManyRetention:
        found = retention_of(text, METRICS)
        assert isinstance(found, ManyRetention)
        return found

    def test_the_own_front_stays_while_a_trial_trains(self) -> None:
        for text in ("best+last", "none", "last"):
            kept = self.keeping(text).training.keep(records(1, self.CURVE, ended=False).records)
            assert kept == {1, 2, 3, 4}, text

    def test_the_front_of_the_search_outlives_every_rule(self) -> None:
        one = records(1, self.CURVE, ended=True)
        kept = self.keeping("none").keep([one])
        assert kept == {1: {1, 2, 3}}
        better = records(2, [(0.8, 0.25)], ended=True)
        assert self.keeping("none").keep([one, better]) == {1: {3}, 2: {1}}

    def test_best_is_by_each_objective(self) -> None:
        one = records(1, self.CURVE, ended=True)
        best = records(2, [(0.1, 0.9)], ended=True)
        assert self.keeping("best+last").keep([one, best]) == {1: {1, 3, 4}, 2: {1}}

    def test_a_full_quota_never_takes_the_front(self) -> None:
        one = records(1, self.CURVE, ended=True)
        better = records(2, [(0.8, 0.25), (0.7, 0.01)], ended=True)
        gone: dict[int, set[int]] = {1: set(), 2: set()}
        for trial, epochs in self.keeping("best+last").expendable([one, better]):
            gone[trial] |= epochs
        assert gone == {1: {1, 2, 4}, 2: set()}


class Seen:
    """Remembers the values that it was shown."""

    total = None

    def suggest(self, number: int, observed: Any, pending: Any) -> Suggestion:
        self.values = [seen.value for seen in observed]
        return Suggestion({"x": number}, "tpe")


def test_a_searcher_is_shown_one_value_of_the_trials_it_may_see() -> None:
    ledger = Ledger(JournalInMemory(), Record(METRICS[0], METRICS[1:]), lag=1)
    seen = Seen()
    planner = Planner(ledger, seen, total=9, lag=1, complete=dict, key_of=lambda config: "k")
    shown = []
    results = [[(0.9, 0.1), (0.8, 0.1)], [(0.9, 0.05)], [(0.7, 0.2)], None, [(1.0, 0.2)]]
    for number, values in enumerate(results, start=1):
        planner.next()
        shown.append([None if value is None else int(value) for value in seen.values])
        for epoch, each in enumerate(values or [(0.1, 0.9)], start=1):
            metrics = dict(zip(BOTH, each, strict=True))
            ledger.write("epoch", trial=number, epoch=epoch, metrics=metrics)
        if values is None:
            ledger.failed(number, "E", "")
        else:
            ledger.write("done", trial=number, epoch=len(values), reason="plateau")
    planner.next()
    shown.append([None if value is None else int(value) for value in seen.values])
    assert shown == [[], [0], [0, 1], [1, 2, 0], [1, 2, 0, None], [1, 2, 0, None, 1]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return search_without_ray(
        tmp_path_factory.mktemp("two"), search__metric=BOTH, search__trials=5,
        search__stop="none",
    )  # fmt: skip


def point(row: Any) -> tuple[float, ...]:
    found = losses(row.metrics, METRICS)
    assert found is not None
    return found


def test_the_front_of_a_run_is_that_of_all_its_epochs(made: RunView) -> None:
    everything = [point(row) for trial in made.trials for row in trial.epochs]
    front = [point(row) for _, row in made.front()]
    assert front == sorted({p for p in everything if not any(dominates(o, p) for o in everything)})
    assert made.objectives == METRICS


def test_every_epoch_of_the_front_is_in_the_store(made: RunView) -> None:
    for trial, row in made.front():
        loaded = open_checkpoint(made.path, trial=trial.number, epoch=row.epoch)
        assert loaded.row is not None


def test_the_files_hold_the_front_and_the_best_by_each(made: RunView) -> None:
    paths = RunPaths(made.path)
    document = json.loads(paths.front.read_text())
    assert [(p["trial"], p["epoch"]) for p in document["front"]] == [
        (trial.number, row.epoch) for trial, row in made.front()
    ]
    by = {name: p for p in document["front"] for name in p["best_by"]}
    assert by.keys() == set(BOTH)
    for metric in METRICS:
        config = read_config(paths.best_config_by(metric.name))
        found = made.best(metric.name)
        assert found is not None
        assert (config["trial"], config["epochs"]) == (found[0].number, found[1].epoch)
        assert (config["objective"], config["direction"]) == (metric.name, metric.direction)
        assert config["value"] == by[metric.name]["objectives"][metric.name]
    first = read_config(paths.best_config)
    assert first == read_config(paths.best_config_by("RMSE"))
    assert verify(read_config(paths.best_config_by("NDCG@10")), made.store_url).bit_equal


def test_load_takes_the_best_by_any_metric(made: RunView) -> None:
    found = made.best("NDCG@10")
    assert found is not None
    loaded = open_checkpoint(made.path, by="NDCG@10")
    assert (loaded.trial.number, loaded.row.epoch) == (found[0].number, found[1].epoch)


def test_the_commands_print_the_front_and_the_best_by_each(made: RunView) -> None:
    asked = CliRunner().invoke(best, [str(made.path), "--front", "--json"])
    assert json.loads(asked.stdout) == json.loads(RunPaths(made.path).front.read_text())
    table = CliRunner().invoke(best, [str(made.path), "--front"]).stdout.splitlines()
    assert len(table) == 1 + len(made.front())
    by = json.loads(CliRunner().invoke(best, [str(made.path), "--by", "NDCG@10"]).stdout)
    assert by == json.loads(RunPaths(made.path).best_config_by("NDCG@10").read_text())
    lines = list(result_lines(made.record))
    assert [line.split()[0] for line in lines[:3]] == ["RMSE", "NDCG@10", "front"]


def test_one_objective_has_the_best_epoch_as_its_front() -> None:
    record = Record(METRICS[0])
    record.apply({"event": "suggested", "trial": 1, "params": {}, "config": {}, "key": "k",
                  "origin": "tpe"})  # fmt: skip
    for epoch, value in enumerate((0.9, 0.7, 0.8), start=1):
        record.apply({"event": "epoch", "trial": 1, "epoch": epoch, "metrics": {"RMSE": value}})
    assert [row.epoch for _, row in record.front()] == [2]


def test_the_best_by_an_objective_is_on_the_front_where_it_is_tied() -> None:
    record = Record(METRICS[0], METRICS[1:])
    for number, ndcg in ((1, 0.1), (2, 0.3), (3, 0.3)):
        record.apply({"event": "suggested", "trial": number, "params": {}, "config": {},
                      "key": "k", "origin": "tpe"})  # fmt: skip
        record.apply({"event": "epoch", "trial": number, "epoch": 1,
                      "metrics": {"RMSE": 0.8, "NDCG@10": ndcg}})  # fmt: skip
    front = record.front()
    assert [trial.number for trial, _ in front] == [2], "the lower of two equal trials"
    for metric in (None, *METRICS):
        found = record.best(metric)
        assert found is not None
        assert found[1] is front[0][1]


def test_pruning_the_store_by_hand_leaves_the_front(made: RunView, tmp_path: Path) -> None:
    """A copy of the store, pruned to the best epoch of each trial."""
    copy = tmp_path / "store"
    shutil.copytree(made.store_url, copy)
    done = CliRunner().invoke(prune, ["--policy", "best", "--store", str(copy)])
    assert done.exit_code == 0, done.output
    with Store.open(copy) as store:
        for trial, row in made.front():
            assert row.epoch in store.epochs(trial.key)


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return search_without_ray(
        tmp_path_factory.mktemp("folds"), folds=2, search__metric=BOTH, search__trials=3,
        search__stop="none",
    )  # fmt: skip


def test_with_folds_the_front_is_that_of_the_means_and_stays_in_every_fold(
    folded: RunView, tmp_path: Path
) -> None:
    everything = [row for trial in folded.trials for row in trial.epochs]
    for row in everything:
        assert row.folds is not None
        for name in BOTH:
            assert row.value(name) == pytest.approx(sum(fold[name] for fold in row.folds) / 2)
    points = [point(row) for row in everything]
    front = [point(row) for _, row in folded.front()]
    assert front == sorted({p for p in points if not any(dominates(o, p) for o in points)})
    copy = tmp_path / "store"
    shutil.copytree(folded.store_url, copy)
    pruned = CliRunner().invoke(prune, ["--policy", "best", "--store", str(copy)])
    assert pruned.exit_code == 0, pruned.output
    for place in (Path(folded.store_url), copy):
        with Store.open(place) as store:
            for trial in folded.trials:
                one, other = (store.epochs(key) for key in trial.keys)
                assert one == other, "what stays of one fold stays of the other"
            for trial, row in folded.front():
                assert all(row.epoch in store.epochs(key) for key in trial.keys)


def test_with_folds_the_files_have_each_fold_and_its_key(folded: RunView) -> None:
    paths = RunPaths(folded.path)
    document = json.loads(paths.front.read_text())
    for found, (trial, row) in zip(document["front"], folded.front(), strict=True):
        assert (found["folds"], found["checkpoint"]["keys"]) == (row.folds, list(trial.keys))
    best_by = folded.best("NDCG@10")
    assert best_by is not None
    config = read_config(paths.best_config_by("NDCG@10"))
    assert (config["folds"], config["keys"]) == (best_by[1].folds, list(best_by[0].keys))
    assert verify(config, folded.store_url).bit_equal
    loaded = open_checkpoint(folded.path, by="NDCG@10", fold=1)
    assert (loaded.trial.number, loaded.row.epoch) == (best_by[0].number, best_by[1].epoch)
    assert loaded.metrics["NDCG@10"] == best_by[1].of_fold(1)["NDCG@10"]
    lines = [line.split()[0] for line in result_lines(folded.record)]
    assert lines[:5] == ["RMSE", "folds", "NDCG@10", "folds", "front"]


def test_a_trial_with_folds_and_two_objectives_is_served_from_its_checkpoints(
    tmp_path: Path,
) -> None:
    what = fold_plan(3, others=("RMSE-pooled",), max_epochs=4, best_epoch=2, spread=0.5)
    family = resolve("planted:PlantedFolds")
    with Store.open(f"memory://{tmp_path.name}") as store:
        first, again = (list(run_trial(what, family, planted_folds(), store)) for _ in range(2))
        assert [store.epochs(key) for key in what.keys] == [[2, 4]] * 3
    assert [result.metrics for result in again] == [result.metrics for result in first]
    assert all(result.replayed for result in again)


def test_an_owner_that_adopts_a_checkpoint_leaves_nothing_of_the_claim_before() -> None:
    """Every key of every claim is one that adoption replaces."""
    claims = [plan().claim(), plan(others=("NDCG@10",)).claim(), fold_plan().claim()]
    assert {key for claim in claims for key in claim} == set(CLAIM)
