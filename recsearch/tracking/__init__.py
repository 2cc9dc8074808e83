"""Runs in TensorBoard, Weights & Biases and MLflow, fed from the journal and from nothing else.

A tracker is shown trials as the journal has them and brings its tool up to that, however much of it
the tool has already. So the same code follows a search while it runs, catches up after a kill, and
logs a run after the fact.
"""

from __future__ import annotations

from recsearch.tracking.companions import Companions
from recsearch.tracking.follow import follow
from recsearch.tracking.targets import Target, parse_target, parse_targets, whereabouts
from recsearch.tracking.tracker import Tracker, open_tracker

__all__ = [
    "Companions",
    "Target",
    "Tracker",
    "follow",
    "open_tracker",
    "parse_target",
    "parse_targets",
    "whereabouts",
]
