"""More epochs for some trials of a run, after the search has ended them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recsearch.continuation import Continuation, choose
from recsearch.cost import split_bytes
from recsearch.cpus import available_cpus
from recsearch.display import SilentDisplay
from recsearch.epochs import TrialView
from recsearch.errors import IdentityError, UsageError
from recsearch.interrupt import Interrupt
from recsearch.journal import Journal
from recsearch.pruning import NoPruning
from recsearch.request import Request, Resolved, resolve_request
from recsearch.run import RunView, check_identity, locked
from recsearch.run_paths import RunPaths
from recsearch.stopping import NoStop
from recsearch.store import Store
from recsearch.tuning.cluster import LocalCluster
from recsearch.tuning.driver import Outcome
from recsearch.tuning.session import Session
from recsearch.tuning.trials import Terms, search_terms


@dataclass(frozen=True)
class More:
    """What a continuation is to do.

    Attributes:
        top: How many of the best trials.
        trials: Numbers of further trials.
        epochs: How many epochs each is to have in all.
        stop: Whether the stop rule of the search may end them before.
    """

    top: int | None
    trials: tuple[int, ...]
    epochs: int
    stop: bool = False


@dataclass(frozen=True)
class Continued(Outcome):
    """How a continuation ended.

    Attributes:
        chosen: Numbers of the trials that the command asked for, the best first.
        before: Every trial as it was when the command began.
    """

    chosen: tuple[int, ...]
    before: Mapping[int, TrialView]


def continue_trials(
    request: Request, more: More, display: SilentDisplay, interrupt: Interrupt | None = None
) -> Continued:
    """Train the chosen trials on from their last checkpoints.

    Epochs that the store has are not trained again. A trial whose last checkpoint is gone goes on
    from the nearest earlier one that the store has.

    Raises:
        UsageError: no such trial, or its model has a single epoch. Nothing is written then.
        IdentityError: data or library versions are others than those of the run.
        RunLockedError: another process works on the run.
        StoreError: the store cannot be used.
    """
    resolved, interrupt = resolve_request(request), interrupt or Interrupt()
    paths = RunPaths(request.run_root)
    if not resolved.family.iterative:
        raise UsageError(
            f"{paths.root}: {resolved.family.name} is trained in a single epoch, so no trial can "
            "have more of them."
        )
    # While all this is closed again, a signal changes nothing of how the command has ended.
    with interrupt.patient(), locked(paths), contextlib.ExitStack() as stack, interrupt.immediate():
        return _continue(resolved, paths, more, display, interrupt, stack)


def _continue(
    resolved: Resolved,
    paths: RunPaths,
    more: More,
    display: SilentDisplay,
    interrupt: Interrupt,
    stack: contextlib.ExitStack,
) -> Continued:
    request, family = resolved.request, resolved.family
    _check(paths, resolved.identity)
    view = RunView.open(paths.root)
    identity, before = view.identity, dict(view.record.trials)
    picked = choose(view.record, more.top, more.trials, more.epochs, identity["command"])
    chosen = tuple(trial.number for trial in picked)
    stop = search_terms(resolved).stop if more.stop else NoStop()
    workers = request.workers or available_cpus()
    store = stack.enter_context(Store.open(request.store_url))
    journal = stack.enter_context(Journal(paths.journal))
    session = Session(resolved, identity, paths, journal, display, workers, store, interrupt)
    plan = Continuation(
        session.ledger,
        chosen,
        more.epochs,
        stop,
        cost_of=lambda config: family.work(config, resolved.split).flops,
        total=view.planned,
        retry_errors=request.retry_errors,
    )
    if not plan.nothing_left:
        cluster = stack.enter_context(_cluster(resolved, workers, interrupt))
        for number in plan.numbers:
            display.note(_sentence(before[number], store, more.epochs))

    # Asked for only where something is left.
    interrupted = session.run(lambda: cluster, plan, Terms(more.epochs, stop, NoPruning()))
    record, erred = session.record, plan.erred
    return Continued(identity, record, paths, None, interrupted, erred, chosen, before)


def _cluster(resolved: Resolved, workers: int, interrupt: Interrupt) -> LocalCluster:
    size = sum(map(split_bytes, resolved.splits))
    return LocalCluster(workers, size, resolved.family, interrupt)


def _check(paths: RunPaths, asked: Mapping[str, Any]) -> None:
    """Refuse a run whose data or libraries are no longer what they were."""
    try:
        check_identity(paths, asked)
    except IdentityError as err:
        raise IdentityError(
            err.message,
            hint="Continue it with the data and the versions that it was searched with: its "
            "checkpoints are of no other ones.",
        ) from None


def _sentence(trial: TrialView, store: Store, epochs: int) -> str:
    have = len(trial.epochs)
    stored = set.intersection(*(set(store.epochs(key)) for key in trial.fold_keys))
    last = max((epoch for epoch in stored if epoch <= epochs), default=0)
    line = f"trial {trial.number}: epochs {have + 1} to {epochs}"
    if last < have:
        line += f", trained again from epoch {last + 1}: later checkpoints are not in the store"
    return line
