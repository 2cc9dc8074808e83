"""Ray's view of our planner: it asks for trials, we answer from the journal."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from recsearch.planner import Plan, Wait
from recsearch.tuning.failure import Failure
from recsearch.tuning.flight import Flight
from recsearch.tuning.local import DriverOnly


class PlannedSearcher(DriverOnly, Searcher):
    """Hands out the planner's trials.

    It keeps no state of its own: what has been suggested and observed stands in the journal, from
    which a resumed run rebuilds the planner.
    """

    def __init__(self, planner: Plan, failure: Failure, flight: Flight):
        super().__init__()
        self._planner = planner
        self._failure = failure
        self._flight = flight

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Accept Ray's defaults; the objective is the search file's."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial; None while that depends on trials that still run, or none may begin."""
        if self._flight.ending:
            # Ray would wait here for a trial if none runs.
            self._flight.check()
            return None
        planned = self._failure.guard(self._planner.next, None)
        if planned is None:
            return Searcher.FINISHED
        if isinstance(planned, Wait):
            return None
        return {
            "trial": planned.number,
            "config": planned.config,
            "key": planned.key,
            "keys": list(planned.keys),
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: results reach the planner through the journal."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def get_state(self) -> dict[str, Any]:
        """Nothing to keep: Ray would pickle it."""
        return {}

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing to save."""
