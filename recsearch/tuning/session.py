"""One command's work on a run, from its ``opened`` to its ``closed`` event."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from recsearch import __version__
from recsearch.baselines import mean_baselines
from recsearch.best import config_document, front_document, result_document
from recsearch.display import About, SilentDisplay, SteadyDisplay
from recsearch.epochs import EpochRow, TrialView
from recsearch.errors import RecsearchError
from recsearch.estimate import Estimate, parse_size
from recsearch.files import write_atomic
from recsearch.interrupt import INTERRUPTED, Interrupt
from recsearch.journal import Journal
from recsearch.keeping import retention_of
from recsearch.ledger import Ledger
from recsearch.planner import Plan
from recsearch.priors import prior_notes
from recsearch.record import Record
from recsearch.request import Resolved
from recsearch.run_paths import RunPaths
from recsearch.spec.warnings import search_warnings
from recsearch.store import Store
from recsearch.tracking import Companions
from recsearch.tuning.cluster import LocalCluster
from recsearch.tuning.housekeeping import Housekeeper
from recsearch.tuning.trials import Job, Terms, run_trials
from recsearch.urls import without_secrets


class Session:
    """Runs what a plan has and keeps journal, best files and store in step with it.

    Attributes:
        record: The run, as it grows.
        ledger: Writer of its journal.
    """

    def __init__(
        self,
        resolved: Resolved,
        identity: dict[str, Any],
        paths: RunPaths,
        journal: Journal,
        display: SilentDisplay,
        workers: int,
        store: Store,
        interrupt: Interrupt | None = None,
    ):
        spec = resolved.request.spec.search
        first, *others = resolved.request.spec.objectives
        self.record = Record.replay(first, journal.events, others)
        self._quota = parse_size(spec.quota)
        self._retention = retention_of(spec.retention, self.record.objectives)
        self._resolved = resolved
        self._identity = identity
        self._paths = paths
        self._display = SteadyDisplay(display)
        self._shown = False
        self._workers = workers
        self._store = store
        self._interrupt = interrupt or Interrupt()
        self._told = False
        self._companions = Companions(paths.root, resolved.request.track)
        self.ledger = Ledger(
            journal,
            self.record,
            lag=spec.lag,
            on_change=self._show,
            on_best=lambda trial, row: write_best(paths, identity, trial, row),
            on_note=self._display.note,
            on_front=lambda record: write_front(paths, identity, record),
        )

    def run(
        self,
        cluster: Callable[[], LocalCluster],
        plan: Plan,
        terms: Terms,
        expected: Estimate | None = None,
    ) -> bool:
        """Run all trials that are left; whether the user interrupted it.

        Args:
            cluster: gives Ray, if the plan has anything left.
            plan: What to run.
            terms: When a trial ends.
            expected: What the checkpoints will take, for the user.
        """
        run_id = self._identity["run_id"]
        keeper = Housekeeper(self._store, self.record, self._retention, run_id, self._quota)
        try:
            # Nothing is raised in the middle of an import: its lock would never be released.
            with self._interrupt.patient():
                self._interrupt.check(in_flight=False)
                self._begin(plan, terms)
                self._interrupt.check(in_flight=False)
                if not plan.nothing_left:
                    self._announce(expected)
                    keeper.tick()
                    self._work(cluster(), keeper, plan, terms)
        except KeyboardInterrupt:
            self._interrupt.close()
            self._display.end()
            self._leave("stopped by the user")
            self._close(INTERRUPTED, keeper)
            return True
        except BaseException as err:
            self._fail(err)
            raise
        self._display.end()
        self._close(5 if plan.erred else 0, keeper)
        return False

    def _begin(self, plan: Plan, terms: Terms) -> None:
        # First: what was running when a command was killed is running no more.
        self._open(plan.total)
        about = About(self._paths.root.name, terms.max_epochs, self._store.bytes_of_packs)
        self._display.begin(self.record, plan.total, about)
        self._shown = True
        self._warn()
        self._tell(self._companions.start())
        plan.begin()

    def _show(self, record: Record) -> None:
        if self._shown:
            self._display.update(record)

    def _work(self, cluster: LocalCluster, keeper: Housekeeper, plan: Plan, terms: Terms) -> None:
        pool = ThreadPoolExecutor(1, thread_name_prefix="baselines")
        resolved, baselines = self._resolved, []
        # What comes last of them: a kill may have left the first alone.
        if not {"chance"} <= self.record.baselines.keys():
            baselines.append(pool.submit(mean_baselines, resolved.splits, resolved.metrics))

        def on_step() -> None:
            self._settle(baselines)
            self._say_when_asked()
            keeper.tick()
            self._tell(self._companions.failed())

        job = Job(
            resolved,
            self._identity,
            self._paths,
            self.ledger,
            plan,
            terms,
            on_step,
            self._interrupt,
        )
        try:
            folder = cluster.ready()
            run_trials(job, folder)
            self._settle(baselines, wait=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _fail(self, err: BaseException) -> None:
        """What cannot go on is left so that it can be resumed."""
        self._display.end()
        self._companions.leave()
        with contextlib.suppress(RecsearchError):
            self._leave(without_secrets(str(err).partition("\n")[0]))
            self.ledger.write("closed", exit_code=getattr(err, "exit_code", 1), counts={})

    def _open(self, trials: int) -> None:
        self.ledger.write(
            "opened",
            pid=os.getpid(),
            host=socket.gethostname(),
            version=__version__,
            workers=self._workers,
            trials=trials,
            quota=self._resolved.request.spec.search.quota,
            resumed=bool(self.record.sessions),
        )

    def _warn(self) -> None:
        """Say once per run what is known to be wrong with what it trains, or of what it learns."""
        for text in (
            *search_warnings(self._resolved.request.spec),
            *prior_notes(self._identity),
            *self._resolved.notes,
        ):
            if text not in self.record.notes:
                self.ledger.write("note", text=text)
                self._display.note(text)

    def _tell(self, problems: list[str]) -> None:
        """Say what goes wrong beside the search, without ending it."""
        for text in problems:
            self.ledger.write("note", text=text)
            self._display.note(text)

    def _announce(self, expected: Estimate | None) -> None:
        if expected is not None:
            finished = sum(trial.finished for trial in self.record.trials.values())
            url = without_secrets(self._resolved.request.store_url)
            keeps_all = self._retention.keeps_all
            self._display.note(expected.sentence(self._quota, url, finished, keeps_all))

    def _say_when_asked(self) -> None:
        trials = self.record.trials.values()
        running = [str(trial.number) for trial in trials if trial.state == "training"]
        if self._interrupt.asked and running and not self._told:
            self._told = True
            word = "trial" if len(running) == 1 else "trials"
            self._display.note(
                f"finishing the running epochs of {word} {', '.join(running)}; "
                "Ctrl-C again stops now"
            )

    def _leave(self, reason: str) -> None:
        for number, trial in list(self.record.trials.items()):
            if trial.state == "training":
                self.ledger.interrupted(number, reason)

    def _close(self, exit_code: int, keeper: Housekeeper) -> None:
        best = self.record.best()
        if best is not None:
            # A kill between an epoch's journal line and these files may have left them behind.
            write_best(self._paths, self._identity, *best)
            if self.record.others:
                write_front(self._paths, self._identity, self.record)
            trial, row = best
            if any(row.epoch not in self._store.epochs(key) for key in trial.fold_keys):
                self.ledger.write(
                    "note",
                    text=f"the checkpoint of the best epoch (trial {trial.number}, epoch "
                    f"{row.epoch}) is not in the store; recsearch verify retrains it",
                )
        self._tell(self._finish(keeper))
        if keeper.problem:
            self.ledger.write("note", text=keeper.problem)
        self.ledger.write("closed", exit_code=exit_code, counts=self.record.counts())

    def _finish(self, keeper: Housekeeper) -> list[str]:
        """What the next command would do else, unless a further signal comes; what went wrong."""
        problems: list[str] = []
        with contextlib.suppress(KeyboardInterrupt):
            if not self._interrupt.at_once:
                with self._interrupt.immediate():
                    self._say_what_for("freeing dropped checkpoints")
                    keeper.finish()
                    tools = [target.tool for target in self._resolved.request.track]
                    if tools:
                        self._say_what_for(f"waiting for {', '.join(tools)} to log the rest")
                    problems = self._companions.stop()
        self._companions.leave()
        return problems

    def _say_what_for(self, what: str) -> None:
        if self._interrupt.asked:
            self._display.note(f"{what}; Ctrl-C again does not wait")

    def _settle(self, baselines: list[Future[dict[str, Any]]], *, wait: bool = False) -> None:
        # Journalled from this thread: a journal has one writer.
        if baselines and wait:
            with self._interrupt.immediate():
                futures.wait(baselines)
        if baselines and baselines[0].done():
            for name, baseline in baselines.pop().result().items():
                if name not in self.record.baselines:
                    self.ledger.write("baseline", name=name, **baseline)


def write_best(
    paths: RunPaths, identity: Mapping[str, Any], trial: TrialView, row: EpochRow
) -> None:
    """Rewrite the two best files."""
    write_atomic(paths.best_config, config_document(identity, trial, row))
    write_atomic(paths.best_result, result_document(identity, trial, row))


def write_front(paths: RunPaths, identity: Mapping[str, Any], record: Record) -> None:
    """Rewrite the files of a search with several objectives: its front, and the best by each."""
    write_atomic(paths.front, front_document(identity, record))
    for metric in record.objectives:
        found = record.best(metric)
        if found is not None:
            document = config_document(identity, *found, metric)
            write_atomic(paths.best_config_by(metric.name), document)
