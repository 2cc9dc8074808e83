"""When a trial is hopeless next to others: pure rules over objective histories.

A rule sees the values of the trial so far and those of the trials it is judged against, and nothing
else, so the same histories always give the same decision. A value that is not finite is worse than
any finite one, and says nothing about a peer.
"""

from __future__ import annotations

import difflib
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

from recsearch.errors import SpecError


class Rule(Protocol):
    """A pure rule; ``name`` is what a journal says pruned the trial."""

    @property
    def name(self) -> str:
        """Short name, as in search files and journals."""

    def keep(
        self, history: Sequence[float], peers: Sequence[Sequence[float]], direction: str
    ) -> bool:
        """Whether the trial goes on.

        Args:
            history: objective values of its epochs 1 … e.
            peers: objective values of epochs 1 … n_j of each trial it is judged against.
            direction: ``min`` or ``max``.
        """


@dataclass(frozen=True)
class NoPruning:
    """Every trial goes on."""

    name: ClassVar[str] = "none"

    def keep(
        self, history: Sequence[float], peers: Sequence[Sequence[float]], direction: str
    ) -> bool:
        """Always."""
        del history, peers, direction
        return True


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving (Li et al., MLSys 2020), the variant that stops trials.

    At epochs ``grace``, ``grace * eta``, ``grace * eta^2``, … below ``max_epochs`` (the rungs) a
    trial goes on if it is in the top 1/eta of the values of that rung, its own among them: if at
    most one in ``eta`` of the peers that reached the rung is strictly better. That is the cut of
    Ray's scheduler, the (1 - 1/eta) quantile, with two differences: the trial's own value counts
    (Ray compares with the values before it), and the comparison is in whole numbers, so that a
    value equal to the cut never falls to rounding. Peers that ended before the rung are not in it.

    Attributes:
        grace: epoch of the first rung.
        eta: reduction factor.
        max_epochs: no trial is judged at its last epoch; None if trials have no last one.
        min_peers: fewer peers than this in the rung decide nothing; None for ``eta``.
    """

    grace: int = 1
    eta: int = 3
    max_epochs: int | None = None
    min_peers: int | None = None
    name: ClassVar[str] = "asha"

    def __post_init__(self) -> None:
        _whole("grace", self.grace, 1)
        _whole("eta", self.eta, 2)
        if self.min_peers is not None:
            _whole("min_peers", self.min_peers, 1)

    def is_rung(self, epoch: int) -> bool:
        """Whether trials are judged after ``epoch``."""
        if self.max_epochs is not None and epoch >= self.max_epochs:
            return False
        rung = self.grace
        while rung < epoch:
            rung *= self.eta
        return rung == epoch

    def decide(self, epoch: int, value: float, peers: Mapping[int, float], direction: str) -> bool:
        """Whether a trial with ``value`` at ``epoch`` goes on, given its peers' values there.

        Args:
            epoch: epochs trained, from 1.
            value: the trial's objective.
            peers: objective at the same epoch by trial number.
            direction: ``min`` or ``max``.
        """
        others = [other for other in peers.values() if math.isfinite(other)]
        enough = self.eta if self.min_peers is None else self.min_peers
        if not self.is_rung(epoch) or len(others) < enough:
            return True
        ahead = sum(_worse(value, other, direction) for other in others)
        return self.eta * ahead <= len(others)

    def keep(
        self, history: Sequence[float], peers: Sequence[Sequence[float]], direction: str
    ) -> bool:
        """Whether the trial is in the top 1/eta of its rung, if it is at one."""
        epoch = len(history)
        if epoch == 0:
            return True
        rung = {n: peer[epoch - 1] for n, peer in enumerate(peers) if len(peer) >= epoch}
        return self.decide(epoch, history[-1], rung, direction)


@dataclass(frozen=True)
class Halving:
    """Successive halving (Jamieson and Talwalkar, AISTATS 2016) of all trials, at every epoch.

    After epoch ``grace + i`` a trial goes on if it is in the top 1/eta^(i+1) of all: if at most one
    in eta^(i+1) of its peers had a strictly better best value within as many epochs. A peer that
    ended earlier takes part with all it had. So trials that were pruned still count as beaten,
    which lets few through once most suggestions are good. The best ``least`` of all go on anyway.

    Attributes:
        grace: first epoch at which trials are judged.
        eta: reduction factor.
        least: a trial that fewer peers than this are better than always goes on.
        min_peers: fewer peers than this decide nothing; None for ``eta``.
    """

    grace: int = 1
    eta: int = 4
    least: int = 3
    min_peers: int | None = None
    name: ClassVar[str] = "halving"

    def __post_init__(self) -> None:
        _whole("grace", self.grace, 1)
        _whole("eta", self.eta, 2)
        _whole("least", self.least, 1)
        if self.min_peers is not None:
            _whole("min_peers", self.min_peers, 1)

    def keep(
        self, history: Sequence[float], peers: Sequence[Sequence[float]], direction: str
    ) -> bool:
        """Whether the best value so far is in the top 1/eta^(i+1) of all, or one of the least."""
        epoch = len(history)
        if epoch < self.grace:
            return True
        bests = [_best(peer[:epoch], direction) for peer in peers]
        others = [best for best in bests if math.isfinite(best)]
        if len(others) < (self.eta if self.min_peers is None else self.min_peers):
            return True
        own = _best(history, direction)
        ahead = sum(_worse(own, other, direction) for other in others)
        return ahead < self.least or ahead * self.eta ** (epoch - self.grace + 1) <= len(others)


@dataclass(frozen=True)
class Median:
    """The median stopping rule (Golovin et al., KDD 2017) in Ray's form.

    A trial stops if its best value so far is strictly worse than the median of its peers' means
    over epochs ``grace`` … e. Peers are those that reached epoch e; one with a value in that span
    that is not finite is left out.

    Attributes:
        grace: first epoch at which trials are judged.
        min_peers: fewer peers than this decide nothing.
    """

    grace: int = 3
    min_peers: int = 3
    name: ClassVar[str] = "median"

    def __post_init__(self) -> None:
        _whole("grace", self.grace, 1)
        _whole("min_peers", self.min_peers, 1)

    def keep(
        self, history: Sequence[float], peers: Sequence[Sequence[float]], direction: str
    ) -> bool:
        """Whether the best value so far is no worse than the median of the peers' means."""
        epoch = len(history)
        if epoch < self.grace:
            return True
        spans = [peer[self.grace - 1 : epoch] for peer in peers if len(peer) >= epoch]
        means = [statistics.fmean(span) for span in spans if all(map(math.isfinite, span))]
        if len(means) < self.min_peers:
            return True
        return not _worse(_best(history, direction), statistics.median(means), direction)


def _best(values: Sequence[float], direction: str) -> float:
    """The best finite one of ``values``; NaN if there is none."""
    finite = [value for value in values if math.isfinite(value)]
    pick = max if direction == "max" else min
    return pick(finite, default=math.nan)


def _worse(value: float, other: float, direction: str) -> bool:
    """Whether ``value`` is strictly worse than the finite ``other``."""
    if not math.isfinite(value):
        return True
    return value < other if direction == "max" else value > other


def _whole(key: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SpecError(
            f"search.scheduler_options.{key} = {value!r}: expected a whole number from {least}."
        )


_RULES: Mapping[str, type[Asha | Halving | Median | NoPruning]] = {
    "asha": Asha,
    "halving": Halving,
    "median": Median,
    "none": NoPruning,
}
SCHEDULERS = tuple(_RULES)
"""Names of the rules."""


def parse_scheduler(name: str, options: Mapping[str, Any], max_epochs: int) -> Rule:
    """The rule of a search file's ``scheduler`` with its options.

    Raises:
        SpecError: an unknown name or option, or a value out of range.
    """
    if name not in _RULES:
        raise SpecError(
            f"search.scheduler = {name!r}: expected one of {', '.join(sorted(_RULES))}.",
            hint='For example scheduler = "asha".',
        )
    rule = _RULES[name]
    valid = [field.name for field in fields(rule) if field.name != "max_epochs"]
    for key in options:
        if key not in valid:
            near = difflib.get_close_matches(key, valid, n=1)
            raise SpecError(
                f"search.scheduler_options.{key}: {name} has no such option; it has "
                f"{', '.join(valid) or 'none'}.",
                hint=f"Did you mean {near[0]}?" if near else None,
            )
    return rule(**options, **({"max_epochs": max_epochs} if rule is Asha else {}))
