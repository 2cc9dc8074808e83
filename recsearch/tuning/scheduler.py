"""Ray's view of our ledger and pruning rule: every result passes here first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from recsearch.ledger import Ledger
from recsearch.planner import Plan
from recsearch.pruning import Rule
from recsearch.tuning.failure import Failure, from_report
from recsearch.tuning.flight import Flight
from recsearch.tuning.local import DriverOnly

WORKER_DEATHS = 3
"""How often the process of one trial may die (killed, out of memory) before that is its error."""


class PeerScheduler(DriverOnly, FIFOScheduler):
    """Records each result, then lets the rule judge the trial against its peers.

    Ray's own schedulers compare with whatever results happen to have arrived. Ours compares with
    a fixed set of earlier trials, so that the same search prunes the same trials on any number of
    workers, resumed or not.
    """

    def __init__(self, ledger: Ledger, rule: Rule, failure: Failure, flight: Flight):
        super().__init__()
        self._ledger = ledger
        self._rule = rule
        self._failure = failure
        self._flight = flight

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Record ``result`` and decide whether its trial goes on."""
        number = trial.config["trial"]
        ended = self._failure.guard(lambda: self._take(number, result), True)
        if self._flight.ending:
            self._flight.ends(number)
            # A worker that were stopped would be given to the next trial.
            return TrialScheduler.NOOP
        if not ended:
            return TrialScheduler.CONTINUE
        self._flight.ends(number)
        return TrialScheduler.STOP

    def _take(self, number: int, result: dict[str, Any]) -> bool:
        report = json.loads(result["report"])
        if "fatal" in report:
            raise from_report(report["fatal"])
        return self._ledger.report(number, report, self._rule)


class WorkerEvents(DriverOnly, Callback):
    """Records what happens to worker processes: a trial begins, or its process dies.

    Ray retries nothing: its own way back from a death depends on what the worker was doing. A
    trial whose process died is planned again and continues from the store.
    """

    def __init__(
        self,
        ledger: Ledger,
        planner: Plan,
        failure: Failure,
        flight: Flight,
        on_step: Callable[[], None],
    ):
        self._ledger = ledger
        self._planner = planner
        self._failure = failure
        self._flight = flight
        self._on_step = on_step
        self._deaths: Counter[int] = Counter()

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Ray's control loop went round once.

        Raises:
            KeyboardInterrupt: the user stops the search. Ray lets it through.
        """
        self._failure.guard(self._on_step, None)
        if self._failure.error is None:
            self._flight.check()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A worker takes up the trial; one that comes too late is not waited for."""
        if not self._flight.ending:
            self._failure.guard(lambda: self._begins(trial.config["trial"]), None)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Drop Ray's statistics of a trial that has ended: it would keep those of all trials."""
        trial.metric_analysis.clear()
        trial.metric_n_steps.clear()

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The worker process died."""
        self._failure.guard(lambda: self._died(trial.config["trial"]), None)

    def _begins(self, number: int) -> None:
        self._ledger.started(number)
        self._flight.begins(number)

    def _died(self, number: int) -> None:
        self._flight.ends(number)
        self._deaths[number] += 1
        if self._deaths[number] <= WORKER_DEATHS:
            self._ledger.interrupted(number, "the worker process died")
            self._planner.again(number)
        else:
            self._ledger.failed(
                number,
                kind="WorkerDied",
                message=f"the worker process died {self._deaths[number]} times (out of memory?)",
            )
