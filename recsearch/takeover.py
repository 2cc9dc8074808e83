"""What a trial need not train: epochs that the store has, of this run or of any other."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recsearch.errors import CheckpointNotFoundError, StoreDamagedError
from recsearch.models import Family
from recsearch.plan import TrialPlan
from recsearch.state import State
from recsearch.store import Manifest, Store

RACES = 5
"""How often another run may drop a checkpoint under our eyes before we train it ourselves."""


@dataclass(frozen=True)
class Taken:
    """What a trial begins with.

    Attributes:
        rows: The epochs that it need not train.
        base: The checkpoint of the last of them, where training goes on from it.
        state: What it restores to.
        damage: What was found damaged on the way and where training goes on, in one sentence.
    """

    rows: list[dict[str, Any]]
    base: Manifest | None = None
    state: State | None = None
    damage: str | None = None


def take_over(plan: TrialPlan, family: Family, store: Store) -> Taken:
    """The stored epochs that this trial need not train, its checkpoints made its own.

    They are those up to where the trial ends by its own rules, as long as every checkpoint that its
    retention keeps is there: another run may have kept other ones. Where some are not, training
    goes on from the last epoch before which nothing is missing.

    Checkpoints of this trial that turn out to be damaged are set aside in the store, so that their
    epochs can be trained and committed again.

    Raises:
        StoreError: the store cannot be read or written.
    """
    lost: set[int] = set()
    for race in range(1, RACES + 1):
        try:
            return _take(plan, family, store, lost)
        except CheckpointNotFoundError:
            continue  # its owner dropped it since it was listed
        except StoreDamagedError:
            found = {e for e in store.epochs(plan.key) if store.quarantine(plan.key, e)}
            if not found and race == RACES:
                raise
            lost |= found
    return Taken([], damage=_sentence(lost, 0))


def _take(plan: TrialPlan, family: Family, store: Store, lost: set[int]) -> Taken:
    rows = _stored_rows(plan, store)
    stored = set(store.epochs(plan.key))
    count, needed = _servable(plan, rows, stored, lost)
    for epoch in sorted(needed):
        info = store.read(plan.key, epoch).info
        store.adopt(plan.key, epoch, {**info, **plan.claim()})
    damage = _sentence(lost, count)
    if not count or plan.finish_reason(rows[:count]):
        return Taken(rows[:count], damage=damage)
    base = store.read(plan.key, count)
    state = store.restore(plan.key, count, parts=family.continue_parts)
    return Taken(rows[:count], base, state, damage)


def _sentence(lost: set[int], count: int) -> str | None:
    if not lost:
        return None
    epochs = ", ".join(str(epoch) for epoch in sorted(lost))
    what = f"epoch {epochs} is" if len(lost) == 1 else f"epochs {epochs} are"
    where = f"continuing from epoch {count}" if count else "training starts over"
    return f"{what} damaged and set aside in the store, {where}"


def _stored_rows(plan: TrialPlan, store: Store) -> list[dict[str, Any]]:
    try:
        history = store.read(plan.key).info["history"]
    except CheckpointNotFoundError:
        return []
    rows: list[dict[str, Any]] = []
    for row in history:
        if any(row["metrics"].get(objective.name) is None for objective in plan.objectives):
            break
        rows.append(row)
        if plan.finish_reason(rows):
            break
    return rows


def _servable(
    plan: TrialPlan, rows: Sequence[Mapping[str, Any]], stored: set[int], lost: set[int]
) -> tuple[int, set[int]]:
    """How many of ``rows`` can be served, and the epochs whose checkpoints that takes."""
    count = len(rows)
    while count:
        needed = _needed(plan, rows[:count], lost)
        if needed <= stored:
            return count, needed
        count = max((epoch for epoch in stored if epoch < count), default=0)
    return 0, set()


def _needed(plan: TrialPlan, rows: Sequence[Mapping[str, Any]], lost: set[int]) -> set[int]:
    """The epochs whose checkpoints it takes to go on after these.

    One that a lost epoch has displaced need not be there: it would be displaced again.
    """
    most = sys.float_info.max
    best = {m.name: -most if m.direction == "min" else most for m in plan.objectives}
    later = [{"metrics": best}] * (max(lost, default=0) - len(rows))
    kept = plan.policy.keep(plan.records([*rows, *later]))
    own = plan.best_and_last.keep(plan.records(rows))
    return {epoch for epoch in kept if epoch <= len(rows)} | own
