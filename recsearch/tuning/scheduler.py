"""Ray's view of our ledger and pruning rule: every result passes here first."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from recsearch.ledger import Ledger
from recsearch.pruning import Rule
from recsearch.tuning.local import DriverOnly


class PeerScheduler(DriverOnly, FIFOScheduler):
    """Records each result, then lets the rule judge the trial against its peers.

    Ray's own schedulers compare with whatever results happen to have arrived. Ours compares with
    a fixed set of earlier trials, so that the same search prunes the same trials on any number of
    workers, resumed or not.
    """

    def __init__(self, ledger: Ledger, rule: Rule):
        super().__init__()
        self._ledger = ledger
        self._rule = rule

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Record ``result`` and decide whether its trial goes on."""
        number = trial.config["trial"]
        ended = self._ledger.report(number, json.loads(result["report"]), self._rule)
        return TrialScheduler.STOP if ended else TrialScheduler.CONTINUE


class WorkerEvents(DriverOnly, Callback):
    """Records what happens to worker processes: a trial begins, or its process dies."""

    def __init__(self, ledger: Ledger, on_step: Callable[[], None]):
        self._ledger = ledger
        self._on_step = on_step

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Ray's control loop went round once."""
        self._on_step()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A worker takes up the trial."""
        self._ledger.started(trial.config["trial"])

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The worker process died; Ray starts another, which continues from the store."""
        self._ledger.interrupted(trial.config["trial"], "the worker process died")

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The worker process died too often."""
        self._ledger.failed(
            trial.config["trial"],
            kind="WorkerDied",
            message="the worker process died repeatedly (out of memory?)",
        )
