"""Which checkpoints stay: small pure rules over (epoch, value) records, and what a search needs.

A `Policy` judges the epochs of one trial. A `Retention` judges all trials of a search: it knows
which of them have ended, and never gives up the best epoch of the search or what an unfinished
trial continues from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from recsearch.errors import UsageError

Direction: TypeAlias = Literal["min", "max"]
_TERM = re.compile(r"(best|last)(?::([1-9][0-9]{0,5}))?|(every):([1-9][0-9]{0,5})")
_CLAUSE = re.compile(r"topk-trials:([1-9][0-9]{0,5})(?::(.+))?|pruned:(.+)")


@dataclass(frozen=True)
class Record:
    """One epoch and its objective; None or a non-finite value can never be best."""

    epoch: int
    value: float | None


class Policy(Protocol):
    """A rule that names the epochs to keep."""

    def keep(self, records: Sequence[Record]) -> set[int]:
        """The epochs among ``records`` that stay."""
        ...


@dataclass(frozen=True)
class All:
    """Keep every epoch."""

    def keep(self, records: Sequence[Record]) -> set[int]:
        """The epochs among ``records`` that stay."""
        return {record.epoch for record in records}


@dataclass(frozen=True)
class BestAndLast:
    """Keep the ``best`` epochs by objective and the ``last`` ones by number.

    Ties go to the earlier epoch.
    """

    direction: Direction
    best: int = 1
    last: int = 1

    def keep(self, records: Sequence[Record]) -> set[int]:
        """The epochs among ``records`` that stay."""
        epochs = sorted({record.epoch for record in records}, reverse=True)
        ranked = _ranked(records, self.direction)
        return {epoch for _, epoch in ranked[: self.best]} | set(epochs[: self.last])


@dataclass(frozen=True)
class Every:
    """Keep the epochs whose number is a multiple of ``step``."""

    step: int

    def keep(self, records: Sequence[Record]) -> set[int]:
        """The epochs among ``records`` that stay."""
        return {record.epoch for record in records if record.epoch % self.step == 0}


@dataclass(frozen=True)
class AnyOf:
    """Keep what any of several policies keeps; nothing where there are none."""

    policies: tuple[Policy, ...]

    def keep(self, records: Sequence[Record]) -> set[int]:
        """The epochs among ``records`` that stay."""
        return set[int]().union(*(policy.keep(records) for policy in self.policies))


NOTHING = AnyOf(())


@dataclass(frozen=True)
class TrialRecords:
    """One trial of a search: its epochs so far, and whether it takes part in no more training."""

    number: int
    records: tuple[Record, ...]
    ended: bool = False
    pruned: bool = False


@dataclass(frozen=True)
class Retention:
    """What a search keeps of all its trials.

    Whatever the rules say, the best epoch of the search stays, and of a trial that has not ended
    its best and its last: it may still become the best one, and it continues from the last.
    Better results only move the protection on, so that nothing is dropped too early.

    Attributes:
        direction: Of the objective.
        epochs: Rule for the epochs of every trial.
        top_trials: How many trials it holds for once they have ended; None for all of them. What
            ``others`` keeps of these stays as well: better trials may still push them out.
        others: Rule for ended trials that are not among the best ``top_trials``.
        pruned: Rule for pruned trials; None where they are no special case. Where ``others``
            holds as well, an epoch stays only if both keep it. Neither brings back an epoch that
            ``epochs`` has dropped before.
    """

    direction: Direction
    epochs: Policy
    top_trials: int | None = None
    others: Policy = NOTHING
    pruned: Policy | None = None

    @property
    def keeps_all(self) -> bool:
        """Whether no epoch of any trial may ever be dropped."""
        return self.epochs == All() and self.top_trials is None and self.pruned is None

    @property
    def training(self) -> Policy:
        """Rule for a trial that has not ended."""
        best_and_last = BestAndLast(self.direction)
        known = self.epochs == All() or (
            isinstance(self.epochs, BestAndLast) and self.epochs.best and self.epochs.last
        )
        return self.epochs if known else AnyOf((self.epochs, best_and_last))

    def keep(self, trials: Sequence[TrialRecords]) -> dict[int, set[int]]:
        """The epochs that stay, by trial number."""
        ranked = self._best_first(trials)
        top = {trial.number for trial in ranked[: self.top_trials]}
        kept = {trial.number: self._keep(trial, trial.number in top) for trial in trials}
        for trial in ranked[:1]:
            kept[trial.number] |= self._best(trial)
        return kept

    def expendable(self, trials: Sequence[TrialRecords]) -> Iterator[tuple[int, set[int]]]:
        """What may be dropped if there is no room for it: trials and epochs, first things first.

        That is all but the best epoch of trials that have ended, and then these, the worst trials
        first; never the best epoch of the search, and nothing of a trial that goes on.
        """
        if self.keeps_all:
            return
        ranked = self._best_first(trials)
        ended = [trial for trial in reversed(ranked) if trial.ended]
        for trial in ended:
            yield trial.number, {record.epoch for record in trial.records} - self._best(trial)
        for trial in ended:
            if trial is not ranked[0]:
                yield trial.number, self._best(trial)

    def _keep(self, trial: TrialRecords, top: bool) -> set[int]:
        if not trial.ended:
            return self.training.keep(trial.records)
        rules = [self._top if top else self.others]
        if trial.pruned and self.pruned is not None:
            rules = [self.pruned] if top else [self.others, self.pruned]
        # What it has not kept while it was training is not there any more.
        kept = [rule.keep(trial.records) for rule in (self.training, *rules)]
        return set.intersection(*kept)

    @property
    def _top(self) -> Policy:
        """Rule for an ended trial among the best."""
        return self.epochs if self.top_trials is None else AnyOf((self.epochs, self.others))

    def _best(self, trial: TrialRecords) -> set[int]:
        return BestAndLast(self.direction, last=0).keep(trial.records)

    def _best_first(self, trials: Sequence[TrialRecords]) -> list[TrialRecords]:
        """Ties go to the earlier epoch, then the lower trial, as everywhere."""

        def rank(trial: TrialRecords) -> tuple[float, int, int]:
            value, epoch = next(iter(_ranked(trial.records, self.direction)), (math.inf, 0))
            return value, epoch, trial.number

        return sorted(trials, key=rank)


def parse_policy(text: str, direction: Direction) -> Policy:
    """Read the rule for one trial: ``all``, ``none``, or terms such as ``best:2+last:3+every:5``.

    Raises:
        UsageError: the text is none of these.
    """
    if text == "all":
        return All()
    if text == "none":
        return NOTHING
    counts = {"best": 0, "last": 0, "every": 0}
    for term in text.split("+"):
        match = _TERM.fullmatch(term.strip())
        name = match and (match[1] or match[3])
        if not match or not name or counts[name]:
            raise UsageError(
                f"{text!r} is not a retention policy: expected all, none, or best, last and "
                "every:N with optional counts, such as best+last or best:2+last:3+every:10"
            )
        counts[name] = int(match[2] or match[4] or 1)
    policies: list[Policy] = []
    if counts["best"] or counts["last"]:
        policies.append(BestAndLast(direction, counts["best"], counts["last"]))
    if counts["every"]:
        policies.append(Every(counts["every"]))
    return policies[0] if len(policies) == 1 else AnyOf(tuple(policies))


def parse_retention(text: str, direction: Direction) -> Retention:
    """Read a policy for every trial and, after commas, what holds for trials that have ended.

    ``topk-trials:K:POLICY`` is the rule for all but the best K trials, ``best`` where none is
    given; ``pruned:POLICY`` is the rule for pruned trials.

    >>> parse_retention("best+last, topk-trials:10, pruned:none", "min").top_trials
    10

    Raises:
        UsageError: the text is no such thing.
    """
    first, *clauses = (clause.strip() for clause in text.split(","))
    top_trials: int | None = None
    others: Policy = NOTHING
    pruned: Policy | None = None
    for clause in clauses:
        match = _CLAUSE.fullmatch(clause)
        if not match or (top_trials if match[1] else pruned):
            raise UsageError(
                f"{clause!r} is no part of a retention: expected topk-trials:K, "
                "topk-trials:K:POLICY or pruned:POLICY, each at most once"
            )
        if match[1]:
            top_trials = int(match[1])
            others = parse_policy(match[2] or "best", direction)
        else:
            pruned = parse_policy(match[3], direction)
    return Retention(direction, parse_policy(first, direction), top_trials, others, pruned)


def _ranked(records: Sequence[Record], direction: Direction) -> list[tuple[float, int]]:
    """(value, epoch) of the finite ones, the best first; values so that less is better."""
    sign = 1.0 if direction == "min" else -1.0
    return sorted(
        (sign * record.value, record.epoch)
        for record in records
        if record.value is not None and math.isfinite(record.value)
    )
