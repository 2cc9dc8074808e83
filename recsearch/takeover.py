"""What a trial need not train: epochs that the store has, of this run or of any other."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recsearch.errors import CheckpointNotFoundError, StoreDamagedError
from recsearch.folds import merged_row
from recsearch.models import Family
from recsearch.plan import CLAIM, TrialPlan
from recsearch.state import State
from recsearch.store import Manifest, Store

RACES = 5
"""How often another run may drop a checkpoint under our eyes before we train it ourselves."""


@dataclass(frozen=True)
class TakenFold:
    """What one fold of a trial begins with.

    Attributes:
        rows: The epochs that it need not train; those of the trial, and more where this fold alone
            has them.
        base: The checkpoint of the last of them, where training goes on from it.
        state: What it restores to.
    """

    rows: list[dict[str, Any]]
    base: Manifest | None = None
    state: State | None = None


@dataclass(frozen=True)
class Taken:
    """What a trial begins with.

    Attributes:
        rows: The epochs that no fold need train, as the means over the folds.
        folds: What each fold begins with.
        damage: What was found damaged on the way and where training goes on, in one sentence.
    """

    rows: list[dict[str, Any]]
    folds: tuple[TakenFold, ...]
    damage: str | None = None


def take_over(folds: Sequence[TrialPlan], family: Family, store: Store) -> Taken:
    """The stored epochs that a trial need not train, its checkpoints made its own.

    They are those up to where the trial ends by its own rules, as long as every checkpoint that its
    retention keeps is there for every fold: another run may have kept other ones. Where some are
    not, training goes on from the last epoch before which nothing is missing. From there on, a fold
    need not train the epochs that it has without a gap: those after which another fold was killed,
    or all that a search of this fold alone has kept.

    Checkpoints of this trial that turn out to be damaged are set aside in the store, so that their
    epochs can be trained and committed again.

    Args:
        folds: the plan of every fold; they differ in their key alone.
        family: of the model.
        store: where the checkpoints are.

    Raises:
        StoreError: the store cannot be read or written.
    """
    lost: list[set[int]] = [set() for _ in folds]
    for race in range(1, RACES + 1):
        try:
            return _take(folds, family, store, lost)
        except CheckpointNotFoundError:
            continue  # its owner dropped it since it was listed
        except StoreDamagedError:
            found = [
                {e for e in store.epochs(fold.key) if store.quarantine(fold.key, e)}
                for fold in folds
            ]
            if not any(found) and race == RACES:
                raise
            lost = [before | now for before, now in zip(lost, found, strict=True)]
    return Taken([], tuple(TakenFold([]) for _ in folds), _damage(lost, [0] * len(folds)))


def _take(
    folds: Sequence[TrialPlan], family: Family, store: Store, lost: Sequence[set[int]]
) -> Taken:
    plan = folds[0]
    known = [_stored_rows(fold, store) for fold in folds]
    stored = [set(store.epochs(fold.key)) for fold in folds]
    rows = _means(plan, known)
    count, needed = _servable(plan, rows, set.intersection(*stored), set().union(*lost))
    ended = bool(count) and plan.finish_reason(rows[:count]) is not None
    taken, reached = [], []
    for fold, theirs, there in zip(folds, known, stored, strict=True):
        last = count if ended else _without_gap(plan, count, len(theirs), there)
        for epoch in sorted(needed | set(range(count + 1, last + 1))):
            found = store.read(fold.key, epoch).info
            info = {name: value for name, value in found.items() if name not in CLAIM}
            store.adopt(fold.key, epoch, {**info, **fold.claim()})
        goes_on = 0 < last < plan.max_epochs and not ended
        taken.append(_restored(fold, family, store, theirs[:last], goes_on))
        reached.append(last)
    return Taken(rows[:count], tuple(taken), _damage(lost, reached))


def _means(plan: TrialPlan, known: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The epochs that all folds have, up to where the trial ends by its own rules."""
    rows: list[dict[str, Any]] = []
    for of_epoch in zip(*known, strict=False):
        rows.append(merged_row(of_epoch))
        if plan.finish_reason(rows):
            break
    return rows


def _without_gap(plan: TrialPlan, count: int, known: int, stored: set[int]) -> int:
    """The last epoch up to which a fold has all after the trial's ``count``."""
    last = count
    while last < min(known, plan.max_epochs) and last + 1 in stored:
        last += 1
    return last


def _restored(
    fold: TrialPlan, family: Family, store: Store, rows: list[dict[str, Any]], goes_on: bool
) -> TakenFold:
    if not goes_on:
        return TakenFold(rows)
    base = store.read(fold.key, len(rows))
    return TakenFold(rows, base, store.restore(fold.key, len(rows), parts=family.continue_parts))


def _damage(lost: Sequence[set[int]], reached: Sequence[int]) -> str | None:
    if len(lost) == 1:
        return _sentence(lost[0], reached[0])
    sentences = [_sentence(*each) for each in zip(lost, reached, strict=True)]
    found = [f"fold {fold}: {text}" for fold, text in enumerate(sentences) if text]
    return "; ".join(found) or None


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
