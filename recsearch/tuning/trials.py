"""Hands the planned trials to Ray Tune and waits until all have ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsearch.errors import RecsearchError
from recsearch.files import absolute_url
from recsearch.interrupt import Interrupt
from recsearch.ledger import Ledger
from recsearch.planner import Plan
from recsearch.pruning import Rule, parse_scheduler
from recsearch.request import Resolved
from recsearch.run_paths import RunPaths
from recsearch.stopping import StopRule, parse_stop
from recsearch.tuning.flight import Flight

MOST_SHARING = 16
"""Trials on a GPU at a time: each may take a 32nd of its memory beside its ratings and vectors."""


@dataclass(frozen=True)
class Terms:
    """When trials end.

    Attributes:
        max_epochs: Epochs of a trial at most.
        stop: What ends a trial by its own results.
        pruning: What ends it next to others.
    """

    max_epochs: int
    stop: StopRule
    pruning: Rule


@dataclass(frozen=True)
class Job:
    """What the trials of one command share on the side of the driver.

    Attributes:
        resolved: The search.
        identity: That of the run.
        paths: Its folder.
        ledger: Its book-keeping.
        plan: What to run.
        terms: When a trial ends.
        on_step: Called now and then.
        interrupt: What the user asks for.
    """

    resolved: Resolved
    identity: dict[str, Any]
    paths: RunPaths
    ledger: Ledger
    plan: Plan
    terms: Terms
    on_step: Callable[[], None]
    interrupt: Interrupt


def run_trials(job: Job, folder: Path) -> None:
    """Run every trial that the plan has left; ``folder`` is for Ray's own files.

    Raises:
        RecsearchError: the store, the journal or Ray failed; the run can be resumed.
        KeyboardInterrupt: the user stopped it, and what was to be finished is.
    """
    from recsearch.tuning.failure import Failure

    failure = Failure()
    tuner = _tuner(job, folder, failure, Flight(job.interrupt))
    try:
        tuner.fit()
    except Exception as err:
        if failure.error is not None:
            raise failure.error from None
        last = (str(err).strip() or type(err).__name__).splitlines()[-1]
        raise RecsearchError(
            f"Ray could not run the trials: {last}", hint="Type the same command to resume."
        ) from err
    if failure.error is not None:
        raise failure.error


def _tuner(job: Job, folder: Path, failure: Any, flight: Flight) -> Any:
    import ray
    from ray import tune

    from recsearch.tuning.scheduler import PeerScheduler, WorkerEvents
    from recsearch.tuning.searcher import PlannedSearcher

    total = ray.cluster_resources()
    each = trial_resources(total)
    at_once = at_a_time(total, each, job.ledger, job.plan)
    events = WorkerEvents(job.ledger, job.plan, failure, flight, job.on_step)
    return tune.Tuner(
        tune.with_resources(_trainable(job, folder / "workers", at_once), each),
        tune_config=tune.TuneConfig(
            search_alg=PlannedSearcher(job.plan, failure, flight),
            scheduler=PeerScheduler(job.ledger, job.terms.pruning, failure, flight),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(folder),
            verbose=0,
            stop=failure,
            callbacks=[events],
            # Nothing to save: a trial continues from the store. With a number to keep, Ray would
            # rewrite the state of all trials after every epoch.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    )


def _trainable(job: Job, meeting: Path, workers: int) -> Any:
    from ray import tune

    from recsearch.tuning.worker import TrialWorker

    shared = _worker_setup(job.resolved, job.identity, job.paths, job.terms, meeting, workers)
    # The splits go to Ray's object store once; workers map them.
    return tune.with_parameters(TrialWorker, splits=job.resolved.splits, shared=shared)


def trial_resources(total: Mapping[str, float]) -> dict[str, float]:
    """What each of as many trials as CPUs takes: a CPU, and where there are GPUs its share of one.

    A trial works on one GPU, so those of a GPU share it equally: at most `MOST_SHARING` of them.
    """
    gpus = round(total.get("GPU", 0))
    if not gpus:
        return {"cpu": 1}
    # Rounded down to the digits that Ray counts with, so that all shares fit.
    sharing = min(math.ceil(total["CPU"] / gpus), MOST_SHARING)
    return {"cpu": 1, "gpu": math.floor(10_000 / sharing) / 10_000}


def search_terms(resolved: Resolved) -> Terms:
    """When the search itself ends trials.

    Raises:
        SpecError: an option that its scheduler or its stop rule does not have.
    """
    search = resolved.request.spec.search
    most = search.max_epochs if resolved.family.iterative else 1
    stop = parse_stop(resolved.identity["search"]["search"]["stop"])
    return Terms(most, stop, parse_scheduler(search.scheduler, search.scheduler_options, most))


def _trial_name(trial: Any) -> str:
    # Ray names folders after parameters by default, which can exceed a path's length.
    # A trial whose worker died is a second trial for Ray.
    return f"trial-{trial.config['trial']:04d}-{trial.trial_id}"


def at_a_time(
    total: Mapping[str, float], each: Mapping[str, float], ledger: Ledger, plan: Plan
) -> int:
    """Workers that will run at first: as the machine, the lag and what is left to do allow."""
    room = int(total["CPU"] / each["cpu"])
    if each.get("gpu"):
        room = min(room, int(total["GPU"] / each["gpu"]))
    trials = ledger.record.trials.values()
    left = plan.total - sum(trial.finished for trial in trials)
    return max(1, min(room, ledger.lag, left))


def _worker_setup(
    resolved: Resolved, identity: dict[str, Any], paths: RunPaths, terms: Terms,
    meeting: Path = Path(), workers: int = 1,
) -> Any:  # fmt: skip
    from recsearch.tuning.worker import WorkerSetup

    search, family = resolved.request.spec.search, resolved.family
    objective, *others = resolved.request.spec.objectives
    return WorkerSetup(
        model=resolved.request.spec.model.class_,
        device=family.device,
        seed=resolved.request.seed,
        max_epochs=terms.max_epochs,
        stop=terms.stop,
        objective=objective.name,
        metrics=resolved.metrics,
        retention=search.retention,
        recompute=search.recompute,
        run_id=identity["run_id"],
        run_root=str(paths.root.resolve()),
        store_url=absolute_url(resolved.request.store_url),
        about={
            "search": identity["name"],
            "model": family.class_path,
            "dataset_id": resolved.split.dataset_id,
            "split_id": resolved.split.split_id,
            "seed": resolved.request.seed,
            "code": identity["code"],
            "versions": identity["versions"],
        },
        meeting=str(meeting),
        workers=workers,
        others=tuple(other.name for other in others),
    )
