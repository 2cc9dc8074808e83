"""Many searches by one command, with runners that stand for Ray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recsearch.campaign import Ending, exit_code, run_campaign
from recsearch.campaign_file import Entry, entries_of, read_plan
from recsearch.cli.campaign import _placed, _summary, request_of
from recsearch.cli.search_options import settings_of
from recsearch.errors import (
    DataNotFoundError,
    IdentityError,
    RecsearchError,
    RunLockedError,
    SpecError,
    StoreError,
    UsageError,
)
from recsearch.request import Request
from recsearch.run import locked
from recsearch.run_paths import RunPaths
from recsearch.settings import Place, Settings
from recsearch.tuning.driver import run_search


@dataclass(frozen=True)
class Ended:
    exit_code: int = 0


class Fake:
    """Runs nothing: what happens is given by search name, and what was run is noted."""

    def __init__(self, **happens: Any):
        self.happens = happens
        self.ran: list[str] = []
        self.reported: list[tuple[str, str, list[str]]] = []

    def prepare(self, entry: Entry) -> Any:
        return entry.search

    def run(self, search: Any) -> Ended:
        self.ran.append(search)
        what = self.happens.get(search, 0)
        if callable(what):
            what = what(self.ran.count(search))
        if isinstance(what, BaseException):
            raise what
        return Ended(what)

    def report(self, ending: Ending, all_: Any) -> None:
        states = [other.state for other in all_]
        self.reported.append((ending.entry.search, ending.state, states))

    def go(self, *searches: str) -> list[Ending]:
        entries = [Entry(name, "demo", Settings()) for name in searches]
        return run_campaign(entries, self.prepare, self.run, self.report)


def test_no_further_run_begins_once_it_is_to_stop() -> None:
    """Asked while the first run came to its end: it is done, and the rest can be resumed."""
    fake = Fake()
    entries = [Entry(name, "demo", Settings()) for name in "abc"]
    endings = run_campaign(
        entries, fake.prepare, fake.run, fake.report, stop=lambda: "a" in fake.ran
    )
    assert fake.ran == ["a"]
    assert states(endings) == ["done", "waiting", "waiting"]
    assert exit_code(endings) == 130


def states(endings: list[Ending]) -> list[str]:
    return [ending.state for ending in endings]


@pytest.mark.parametrize(
    "error",
    [
        DataNotFoundError("no data"),
        SpecError("bad file"),
        StoreError("disk full"),
        RecsearchError("Ray could not start"),
        ZeroDivisionError("a defect"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_b10_one_failing_run_leaves_the_others_and_the_exit_code_says_so(error: Exception) -> None:
    fake = Fake(b=error)
    endings = fake.go("a", "b", "c")
    assert fake.ran == ["a", "b", "c"]
    assert states(endings) == ["done", "failed", "done"]
    assert exit_code(endings) == 5
    assert str(error) in str(endings[1].message)
    assert (endings[1].details is None) == isinstance(error, RecsearchError)


def test_a_folder_of_another_run_lends_it_no_results() -> None:
    (ending,) = Fake(a=IdentityError("another run")).go("a")
    assert ending.foreign
    row = _summary(ending)
    assert (row.search, row.dataset, row.state, row.value) == ("a", "demo", "failed", None)
    assert row.message is not None and "another run" in row.message
    assert not Fake(a=StoreError("x")).go("a")[0].foreign


def test_b10_erred_trials_are_no_failure_and_exit_with_5() -> None:
    endings = Fake(a=5).go("a", "b")
    assert states(endings) == ["errors", "done"]
    assert exit_code(endings) == 5
    assert exit_code(Fake().go("a", "b")) == 0


@pytest.mark.parametrize("what", [130, KeyboardInterrupt()], ids=["caught", "raised"])
def test_ctrl_c_stops_all(what: Any) -> None:
    fake = Fake(b=what)
    endings = fake.go("a", "b", "c")
    assert fake.ran == ["a", "b"]
    assert states(endings) == ["done", "interrupted", "waiting"]
    assert exit_code(endings) == 130


def test_every_ending_is_reported_with_all_so_far() -> None:
    fake = Fake(a=RecsearchError("x"))
    fake.go("a", "b")
    assert fake.reported == [
        ("a", "failed", ["failed", "waiting"]),
        ("b", "done", ["failed", "done"]),
    ]


def test_b5_two_coordinators_share_the_work() -> None:
    """What the other one works on is taken up again after all else."""

    def held_once(times: int) -> Any:
        return RunLockedError("another process works on this run") if times == 1 else 0

    fake = Fake(a=held_once)
    endings = fake.go("a", "b", "c")
    assert fake.ran == ["a", "b", "c", "a"]
    assert states(endings) == ["done", "done", "done"]
    assert [name for name, _, _ in fake.reported] == ["b", "c", "a"]


def test_b5_a_run_that_another_process_holds_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entries = entries_of([("als", "demo:20x"), ("bias", "demo:20x")], Settings())
    held = RunPaths(entries[0].root)
    ran: list[str] = []

    def run(request: Request) -> Ended:
        if request.run_root == held.root:
            from recsearch.display import SilentDisplay
            from recsearch.request import resolve_request

            run_search(resolve_request(request), SilentDisplay())
        ran.append(request.run_root.name)
        return Ended()

    with locked(held):
        before = sorted(held.root.iterdir())
        endings = run_campaign(
            entries, lambda entry: request_of(entry, Place("store")), run, lambda end, all_: None
        )
        assert sorted(held.root.iterdir()) == before
    assert states(endings) == ["failed", "done"]
    assert "another process works on this run" in str(endings[0].message)
    assert ran == ["bias-demo-20x"]


def plan(tmp_path: Path, text: str, settings: Settings | None = None) -> list[Entry]:
    path = tmp_path / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return read_plan(path, settings or Settings())


def test_a_plan_is_its_product_with_tables_in_place_of_pairs(tmp_path: Path) -> None:
    entries = plan(
        tmp_path,
        'searches = ["als", "bias"]\ndata = ["ml100k", "ml1m"]\ntrials = 10\nseed = 7\n'
        '[[run]]\nsearch = "als"\ndata = "ml1m"\ntrials = 60\n'
        '[[run]]\nsearch = "popular"\ndata = "demo"\nfolder = "runs/mine"\n',
    )
    found = [(e.search, e.dataset, e.settings.trials, e.settings.seed) for e in entries]
    assert found == [
        ("als", "ml100k", 10, 7),
        ("bias", "ml100k", 10, 7),
        ("als", "ml1m", 60, 7),
        ("bias", "ml1m", 10, 7),
        ("popular", "demo", 10, 7),
    ]
    assert [str(e.root) for e in entries[2:]] == [
        "runs/als-ml1m-seed7",
        "runs/bias-ml1m-seed7",
        "runs/mine",
    ]


def test_the_command_line_comes_before_the_plan(tmp_path: Path) -> None:
    text = 'seed = 1\nset = ["search.lag=2"]\n[[run]]\nsearch = "als"\ndata = "demo"\ntrials = 9\n'
    given = Settings.model_validate({"trials": 3, "set": ["search.lag=4"]})
    settings = plan(tmp_path, text, given)[0].settings
    assert (settings.trials, settings.seed) == (3, 1)
    assert settings.overrides() == {"search.lag": 4, "search.trials": 3}


def test_all_is_every_search(tmp_path: Path) -> None:
    names = {entry.search for entry in plan(tmp_path, 'searches = ["all"]\ndata = ["demo"]\n')}
    assert {"als", "als-implicit", "bias", "popular"} <= names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trails = 3\n", ["plan.toml: trails: is no key", "did you mean trials?"]),
        ('[[run]]\nsearch = "als"\ndata = "demo"\nsed = 1\n', ["run.1.sed", "did you mean seed?"]),
        ('[[run]]\nsearch = "als"\n', ["run.1.data: is missing"]),
        ("trials = 0\n", ["plan.toml: trials: 0 does not fit", "1 or more"]),
        ('searches = ["als"]\n', ["plan.toml: data: is empty"]),
        ('searches = "als"\ndata = ["demo"]\n', ["plan.toml: searches", "an array"]),
        ("seed = 3\n", ["plans no run"]),
    ],
)
def test_a_wrong_plan_names_the_key(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        plan(tmp_path, text)
    for word in words:
        assert word in str(caught.value)


def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    twice = '[[run]]\nsearch = "als"\ndata = "demo"\n' * 2
    with pytest.raises(UsageError, match="share the run folder runs/als-demo"):
        plan(tmp_path, twice)
    text = twice + 'folder = "runs/second"\n'
    assert [str(e.root) for e in plan(tmp_path, text)] == ["runs/als-demo", "runs/second"]


GRID = (
    'set = ["search.method=grid", "space.damping.user.points=3", "space.damping.item.points=4"]\n'
)


@pytest.mark.parametrize(("own", "trials"), [("", 13), ("trials = 5\n", 5)])
def test_a_number_for_all_does_not_cut_a_grid(tmp_path: Path, own: str, trials: int) -> None:
    entry = plan(tmp_path, f'trials = 10\n{GRID}[[run]]\nsearch = "bias"\ndata = "demo"\n{own}')[0]
    request = request_of(entry, Place("store"))
    assert request.spec.search.trials == trials
    assert f"--trials {trials}" in request.command


@pytest.mark.parametrize("where", ["plan", "run"])
def test_a_number_that_is_set_cuts_a_grid_and_a_runs_own_set_comes_first(
    tmp_path: Path, where: str
) -> None:
    own, grid = '"search.trials=5", "search.metric=NDCG@10"', GRID.partition("[")[2].rstrip("]\n")
    sets = {"plan": f"set = [{own}, {grid}]\n", "run": f"set = [{grid}]\n"}
    common = f'trials = 10\nmetric = "MAE"\n{sets[where]}'
    run = '[[run]]\nsearch = "bias"\ndata = "demo"\n'
    run += f"set = [{own}]\n" if where == "run" else ""
    spec = request_of(plan(tmp_path, common + run)[0], Place("store")).spec.search
    assert spec.trials == 5
    # Within one table, a setting of its own comes before set.
    assert spec.metric == ("NDCG@10" if where == "run" else "MAE")


def test_one_search_on_one_data_set_may_have_a_folder() -> None:
    entries = entries_of([("als", "demo")], Settings())
    (placed,) = _placed(entries, Place("store", run_dir=Path("runs/x")))
    assert placed.root == Path("runs/x")
    with pytest.raises(UsageError, match="one folder cannot hold several runs"):
        _placed([*entries, *entries], Place("store", run_dir=Path("runs/x")))


def test_a_run_is_the_one_of_the_single_command() -> None:
    settings = Settings.model_validate({"trials": 3, "metric": "NDCG@10", "seed": 7})
    request = request_of(Entry("als", "demo", settings), Place("other"))
    assert str(request.run_root) == "runs/als-demo-ndcg10-seed7"
    words = request.command.split(maxsplit=1)[1]
    assert words == "search als demo --trials 3 --metric NDCG@10 --seed 7 --store other"


@pytest.mark.parametrize("metric", ['"RMSE, NDCG@10"', '["RMSE", "NDCG@10"]', '["RMSE,NDCG@10"]'])
def test_several_objectives_in_a_plan(tmp_path: Path, metric: str) -> None:
    text = f'metric = {metric}\nsearches = ["als"]\ndata = ["demo"]\n'
    request = request_of(plan(tmp_path, text)[0], Place("store"))
    assert request.spec.search.objectives == ("RMSE", "NDCG@10")
    assert str(request.run_root) == "runs/als-demo-rmse-ndcg10"
    assert "search als demo --metric RMSE --metric NDCG@10" in request.command
    own = plan(tmp_path, f'{text}[[run]]\nsearch = "als"\ndata = "demo"\nmetric = "MAE"\n')
    assert own[0].settings.metric == ["MAE"], "a run's own come before the common ones"


@pytest.mark.parametrize("words", [["RMSE,NDCG@10"], ["RMSE", "NDCG@10"]])
def test_several_objectives_on_the_command_line(words: list[str]) -> None:
    settings = settings_of({"metric": tuple(words), "set": ()})
    assert settings.metric == ["RMSE", "NDCG@10"]
    assert settings.overrides() == {"search.metric": ["RMSE", "NDCG@10"]}
    assert settings_of({"metric": (), "set": ()}).overrides() == {}
