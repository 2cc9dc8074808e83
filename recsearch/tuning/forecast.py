"""What a search would do and take, without doing it: nothing is written and Ray is not started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from recsearch.cost import (
    START_S,
    TRIAL_S,
    CostModel,
    available_bytes,
    check_memory,
    decisive,
    drawn,
    expected_epochs,
    largest,
    measure_rate,
)
from recsearch.cpus import available_cpus
from recsearch.estimate import Estimate, estimate, parse_size
from recsearch.journal import JournalInMemory, read_events
from recsearch.ledger import Ledger
from recsearch.planner import PlannedTrial
from recsearch.record import Record
from recsearch.request import Resolved
from recsearch.run import check_identity
from recsearch.run_paths import RunPaths
from recsearch.spec import check_against_model
from recsearch.tuning.driver import make_planner, make_suggester_of
from recsearch.tuning.trials import search_terms


@dataclass(frozen=True)
class Expected:
    """A trial that is already determined.

    Attributes:
        trial: Its number.
        origin: How it was suggested: default, random, tpe or grid.
        params: What the search varies.
        epochs: Epochs that it has.
        epoch_s: Seconds of an epoch; None where nothing is known of it.
        worker_bytes: Peak memory of the worker that trains it.
    """

    trial: int
    origin: str
    params: Mapping[str, Any]
    epochs: int
    epoch_s: float | None
    worker_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What is left of a search, and what it will take.

    Attributes:
        total: Trials of the run.
        finished: Trials that have ended.
        planned: Those of the others that are determined, by number.
        open: How many more there will be; they follow from results.
        epochs: Epochs of a trial on average.
        most: Epochs of a trial at most.
        measured_trials: Finished trials behind ``epochs``; 0 where it is an assumption.
        measured_epochs: Epochs of this run behind the times; 0 where they are calculated.
        rate: Floating point operations per second of one core.
        workers: Trials at a time.
        cpus: Cores that this process may use.
        core_s: Seconds of one core that all of it takes; None where nothing is known of it.
        wall_s: Seconds until it ends.
        memory_bytes: Peak memory, with the largest configuration of the space on every worker.
        largest: The parameter of it that decides that, and its value.
        store: What the checkpoints will take.
    """

    total: int
    finished: int
    planned: tuple[Expected, ...]
    open: int
    epochs: float
    most: int
    measured_trials: int
    measured_epochs: int
    rate: float
    workers: int
    cpus: int
    core_s: float | None
    wall_s: float | None
    memory_bytes: int
    largest: Mapping[str, Any]
    store: Estimate | None


def forecast(resolved: Resolved) -> Forecast:
    """What the search would do, by the same planner on the run's journal.

    Raises:
        UsageError: the search does not fit its model, its quota or the memory of this machine.
        IdentityError: the run folder holds another run.
    """
    request, family = resolved.request, resolved.family
    spec, paths = request.spec, RunPaths(request.run_root)
    if not request.fresh:
        check_identity(paths, resolved.identity)
    check_against_model(spec)
    terms, store = search_terms(resolved), estimate(resolved)
    if store is not None:
        store.check(parse_size(spec.search.quota))
    workers, cpus = request.workers or available_cpus(), available_cpus()
    events = [] if request.fresh else read_events(paths.journal)
    first, *further = spec.objectives
    record = Record.replay(first, events, further)
    cost = CostModel(family, resolved.split, measure_rate(), folds=len(resolved.splits)).calibrated(
        record
    )
    check_memory(spec, cost, workers, available_bytes(), begun=paths.identity.exists())
    finished = [t.searched for t in record.trials.values() if t.searched.finished]
    have = [len(trial.epochs) for trial in finished if trial.epochs]
    assumed = expected_epochs(terms.max_epochs, terms.stop, terms.pruning, family.usual_epochs)
    epochs = fmean(have) if have else assumed
    planned, total, others = _determined(resolved, Record.replay(first, events, further), cost)
    left = len(planned) + others
    core = _seconds(resolved, cost, planned, others, epochs)
    point, config = largest(spec, cost)
    name = decisive(spec, cost, point)
    lanes = min(workers, cpus, spec.search.lag, max(1, left))
    return Forecast(
        total=total,
        finished=max(0, total - left),
        planned=planned,
        open=others,
        epochs=epochs,
        most=terms.max_epochs,
        measured_trials=len(have),
        measured_epochs=cost.measured_epochs,
        rate=cost.rate,
        workers=workers,
        cpus=cpus,
        core_s=core,
        wall_s=None if core is None else core / lanes + (START_S if left else 0.0),
        memory_bytes=cost.total_bytes(config, workers),
        largest={} if name is None else {name: point[name]},
        store=store,
    )


def _determined(
    resolved: Resolved, record: Record, cost: CostModel
) -> tuple[tuple[Expected, ...], int, int]:
    """Trials that the planner hands out before any result.

    Returns:
        These; how many the run will have; how many of them are not suggested yet.
    """
    search = resolved.request.spec.search
    # Grid and random points do not depend on results, so none need be waited for.
    lag = search.lag if search.method == "tpe" else max(search.lag, search.trials)
    ledger = Ledger(JournalInMemory(), record, lag=lag)
    planner = make_planner(resolved, ledger, make_suggester_of(resolved), lag=lag)
    found = []
    while isinstance(planned := planner.next(), PlannedTrial):
        trial = record.trials[planned.number]
        found.append(
            Expected(
                trial=planned.number,
                origin=trial.origin,
                params=trial.params,
                epochs=len(trial.epochs),
                epoch_s=cost.epoch_seconds(planned.config),
                worker_bytes=cost.worker_bytes(planned.config),
            )
        )
    others = max(0, planner.total - len(record.trials))
    return tuple(sorted(found, key=lambda expected: expected.trial)), planner.total, others


def _seconds(
    resolved: Resolved,
    cost: CostModel,
    planned: tuple[Expected, ...],
    others: int,
    epochs: float,
) -> float | None:
    """Seconds of one core; trials that are not determined cost what the space does on average."""
    known = [
        None if trial.epoch_s is None else TRIAL_S + max(0.0, epochs - trial.epochs) * trial.epoch_s
        for trial in planned
    ]
    if others:
        spec, family = resolved.request.spec, resolved.family
        configs = [family.complete(spec.configuration(point)) for point in drawn(spec)]
        each = [cost.epoch_seconds(config) for config in configs]
        mean = None if None in each else fmean(seconds or 0.0 for seconds in each)
        known.append(None if mean is None else others * (TRIAL_S + epochs * mean))
    if None in known:
        return None
    return sum(seconds or 0.0 for seconds in known)
