"""What a trial need not train: epochs that the store has, of this run or of any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recsearch.errors import CheckpointNotFoundError
from recsearch.plan import TrialPlan, records
from recsearch.store import Store

RACES = 5
"""How often another run may drop a checkpoint under our eyes before we train it ourselves."""


def take_over(plan: TrialPlan, store: Store) -> list[dict[str, Any]]:
    """The rows of stored epochs that this trial need not train, its checkpoints made its own.

    They are those up to where the trial ends by its own rules, as long as every checkpoint that its
    retention keeps is there: another run may have kept other ones. Where some are not, training
    goes on from the last epoch before which nothing is missing.
    """
    for _ in range(RACES):
        rows = _stored_rows(plan, store)
        stored = set(store.epochs(plan.key))
        count, needed = _servable(plan, rows, stored)
        try:
            for epoch in sorted(needed):
                info = store.read(plan.key, epoch).info
                store.adopt(plan.key, epoch, {**info, **plan.claim()})
        except CheckpointNotFoundError:
            continue  # its owner dropped it since it was listed
        return rows[:count]
    return []


def _stored_rows(plan: TrialPlan, store: Store) -> list[dict[str, Any]]:
    try:
        history = store.read(plan.key).info["history"]
    except CheckpointNotFoundError:
        return []
    rows: list[dict[str, Any]] = []
    for row in history:
        if row["metrics"].get(plan.objective) is None:
            break
        rows.append(row)
        if plan.finish_reason(plan.values(rows)):
            break
    return rows


def _servable(
    plan: TrialPlan, rows: Sequence[Mapping[str, Any]], stored: set[int]
) -> tuple[int, set[int]]:
    """How many of ``rows`` can be served, and the epochs whose checkpoints that takes."""
    count = len(rows)
    while count:
        values = plan.values(rows[:count])
        needed = plan.policy.keep(records(values))
        if plan.finish_reason(values) is None:
            needed = needed | {count}
        if needed <= stored:
            return count, needed
        count = max((epoch for epoch in stored if epoch < count), default=0)
    return 0, set()
