"""One search from its first to its last trial."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsearch import __version__
from recsearch.baselines import compute_baselines
from recsearch.best import config_document, result_document
from recsearch.display import SilentDisplay
from recsearch.errors import RecsearchError
from recsearch.estimate import Estimate, estimate, parse_size
from recsearch.evaluation import parse
from recsearch.files import write_atomic
from recsearch.journal import Journal, now, read_events
from recsearch.ledger import Ledger
from recsearch.plan import trial_key
from recsearch.planner import Planner
from recsearch.record import EpochRow, Record, TrialView
from recsearch.request import Resolved
from recsearch.run import RunPaths, check_identity, locked, move_aside, read_identity
from recsearch.spec import check_against_model
from recsearch.store import Store
from recsearch.store.retention import parse_retention
from recsearch.suggest import Suggester, default_params, make_suggester
from recsearch.tuning.cluster import LocalCluster
from recsearch.tuning.housekeeping import Housekeeper
from recsearch.tuning.trials import pruning_rule, run_trials, shared_bytes


@dataclass(frozen=True)
class Outcome:
    """How a search ended."""

    identity: Mapping[str, Any]
    record: Record
    paths: RunPaths
    moved: Path | None
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """0 ok, 5 finished but some trials erred, 130 interrupted."""
        if self.interrupted:
            return 130
        return 5 if self.record.counts()["error"] else 0


def run_search(resolved: Resolved, display: SilentDisplay) -> Outcome:
    """Run or resume a search until all its trials have ended.

    Raises:
        UsageError: the search does not fit its model, or no trial its quota. Nothing is written
            then.
        IdentityError: the run folder holds another run.
        RunLockedError: another process works on it.
        StoreError: the store cannot be used.
    """
    request = resolved.request
    paths = RunPaths(request.run_root)
    with locked(paths), contextlib.ExitStack() as stack:
        if not request.fresh:
            check_identity(paths, resolved.identity)
        workers = request.workers or available_cpus()
        cluster = None
        if request.fresh or _may_have_work(paths, resolved):
            cluster = stack.enter_context(LocalCluster(workers, shared_bytes(resolved.split)))
        # Imports the model's library, while Ray starts beside it. All that can be wrong with the
        # search is found before anything is written.
        check_against_model(request.spec)
        pruning_rule(resolved)
        suggester = _suggester(resolved)
        expected = estimate(resolved)
        if expected is not None:
            expected.check(parse_size(request.spec.search.quota))
        store = stack.enter_context(Store.open(request.store_url))
        moved = move_aside(paths) if request.fresh else None
        identity = _settle_identity(paths, resolved)
        journal = stack.enter_context(Journal(paths.journal))
        session = _Session(
            resolved, identity, paths, journal, display, workers, suggester, store, expected
        )
        interrupted = session.run(cluster)
        return Outcome(identity, session.record, paths, moved, interrupted)


class _Session:
    """One command's work on a run, from its ``opened`` to its ``closed`` event."""

    def __init__(
        self,
        resolved: Resolved,
        identity: dict[str, Any],
        paths: RunPaths,
        journal: Journal,
        display: SilentDisplay,
        workers: int,
        suggester: Suggester,
        store: Store,
        expected: Estimate | None,
    ):
        spec = resolved.request.spec.search
        self.record = Record.replay(parse(spec.metric), journal.events)
        self._quota = parse_size(spec.quota)
        self._retention = parse_retention(spec.retention, self.record.objective.direction)
        self._expected = expected
        self._resolved = resolved
        self._identity = identity
        self._paths = paths
        self._display = display
        self._workers = workers
        self._store = store
        self._ledger = Ledger(
            journal,
            self.record,
            lag=spec.lag,
            on_change=display.update,
            on_best=lambda trial, row: write_best(paths, identity, trial, row),
            on_note=display.note,
        )
        self._planner = make_planner(resolved, self._ledger, suggester)

    def run(self, cluster: LocalCluster | None) -> bool:
        """Run all trials that are left; whether the user interrupted it."""
        run_id = self._identity["run_id"]
        keeper = Housekeeper(self._store, self.record, self._retention, run_id, self._quota)
        try:
            self._display.begin(self.record, self._planner.total)
            self._open()
            if cluster is not None and not self._planner.nothing_left:
                self._announce()
                keeper.tick()
                self._work(cluster, keeper)
        except KeyboardInterrupt:
            self._display.end()
            self._leave("stopped by the user")
            self._close(130, keeper)
            return True
        except BaseException as err:
            self._display.end()
            with contextlib.suppress(RecsearchError):
                self._leave(str(err).partition("\n")[0])
                self._ledger.write("closed", exit_code=getattr(err, "exit_code", 1), counts={})
            raise
        self._display.end()
        self._close(5 if self.record.counts()["error"] else 0, keeper)
        return False

    def _work(self, cluster: LocalCluster, keeper: Housekeeper) -> None:
        pool = ThreadPoolExecutor(1, thread_name_prefix="baselines")
        split, metrics = self._resolved.split, self._resolved.metrics
        baselines = [pool.submit(compute_baselines, split, metrics)]
        try:

            def on_step() -> None:
                self._settle(baselines)
                keeper.tick()

            run_trials(
                self._resolved,
                self._identity,
                self._paths,
                self._ledger,
                self._planner,
                cluster.ready(),
                on_step,
            )
            self._settle(baselines, wait=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> None:
        self._ledger.write(
            "opened",
            pid=os.getpid(),
            host=socket.gethostname(),
            version=__version__,
            workers=self._workers,
            trials=self._planner.total,
            resumed=bool(self.record.sessions),
        )

    def _announce(self) -> None:
        if self._expected is not None:
            finished = sum(trial.finished for trial in self.record.trials.values())
            url, keeps_all = self._resolved.request.store_url, self._retention.keeps_all
            self._display.note(self._expected.sentence(self._quota, url, finished, keeps_all))

    def _leave(self, reason: str) -> None:
        for number in list(self.record.trials):
            self._ledger.interrupted(number, reason)

    def _close(self, exit_code: int, keeper: Housekeeper) -> None:
        best = self.record.best()
        if best is not None:
            # A kill between an epoch's journal line and these files may have left them behind.
            write_best(self._paths, self._identity, *best)
            trial, row = best
            if row.epoch not in self._store.epochs(trial.key):
                self._ledger.write(
                    "note",
                    text=f"the checkpoint of the best epoch (trial {trial.number}, epoch "
                    f"{row.epoch}) is not in the store; recsearch verify retrains it",
                )
        keeper.finish()
        if keeper.problem:
            self._ledger.write("note", text=keeper.problem)
        self._ledger.write("closed", exit_code=exit_code, counts=self.record.counts())

    def _settle(self, baselines: list[Future[dict[str, Any]]], *, wait: bool = False) -> None:
        # Journalled from this thread: a journal has one writer.
        if baselines and (wait or baselines[0].done()):
            for name, baseline in baselines.pop().result().items():
                if name not in self.record.baselines:
                    self._ledger.write("baseline", name=name, **baseline)


def write_best(
    paths: RunPaths, identity: Mapping[str, Any], trial: TrialView, row: EpochRow
) -> None:
    """Rewrite the two best files."""
    write_atomic(paths.best_config, config_document(identity, trial, row))
    write_atomic(paths.best_result, result_document(identity, trial, row))


def available_cpus() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _may_have_work(paths: RunPaths, resolved: Resolved) -> bool:
    """Whether Ray is likely to be needed; judged before the model's library is there."""
    spec = resolved.request.spec
    record = Record.replay(parse(spec.search.metric), read_events(paths.journal))
    ended = sum(trial.finished for trial in record.trials.values())
    size = spec.space.size
    most = spec.search.trials if size is None else min(spec.search.trials, size)
    return ended < most or (resolved.request.retry_errors and record.counts()["error"] > 0)


def _settle_identity(paths: RunPaths, resolved: Resolved) -> dict[str, Any]:
    """The identity of the run in the folder, written there if the folder is new.

    Raises:
        RecsearchError: the folder holds a journal without its identity.
    """
    found = read_identity(paths)
    if found is not None:
        return found
    if paths.journal.exists():
        raise RecsearchError(
            f"{paths.root}: a journal without run.json; nothing was changed.",
            hint="Put run.json back, or move the folder aside with --fresh.",
        )
    identity = {**resolved.identity, "run_id": uuid.uuid4().hex, "created": now()}
    write_atomic(paths.identity, identity)
    return identity


def _suggester(resolved: Resolved) -> Suggester:
    spec = resolved.request.spec
    default = default_params(spec, resolved.family.complete({}))
    return make_suggester(spec, resolved.request.seed, default)


def make_planner(resolved: Resolved, ledger: Ledger, suggester: Suggester) -> Planner:
    """The planner of a run, rebuilt from its journal."""
    request, family = resolved.request, resolved.family
    return Planner(
        ledger,
        suggester,
        total=request.spec.search.trials,
        lag=request.spec.search.lag,
        complete=lambda params: family.complete(request.spec.configuration(params)),
        key_of=lambda config: trial_key(
            family, config, resolved.split, request.seed, resolved.metrics
        ),
        retry_errors=request.retry_errors,
    )
