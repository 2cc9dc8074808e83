"""Hands the planned trials to Ray Tune and waits until all have ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from recsearch.data import Split
from recsearch.errors import RecsearchError
from recsearch.evaluation import parse
from recsearch.ledger import Ledger
from recsearch.planner import Planner
from recsearch.pruning import Rule, parse_scheduler
from recsearch.request import Resolved
from recsearch.run import RunPaths
from recsearch.stopping import parse_stop


def run_trials(
    resolved: Resolved,
    identity: dict[str, Any],
    paths: RunPaths,
    ledger: Ledger,
    planner: Planner,
    state_folder: Path,
    on_step: Callable[[], None],
) -> None:
    """Run every trial that the planner has left; ``on_step`` is called now and then.

    Raises:
        RecsearchError: the store, the journal or Ray failed; the run can be resumed.
    """
    from recsearch.tuning.failure import Failure

    failure = Failure()
    tuner = _tuner(resolved, identity, paths, ledger, planner, state_folder, on_step, failure)
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


def _tuner(
    resolved: Resolved,
    identity: dict[str, Any],
    paths: RunPaths,
    ledger: Ledger,
    planner: Planner,
    state_folder: Path,
    on_step: Callable[[], None],
    failure: Any,
) -> Any:
    from ray import tune

    from recsearch.tuning.scheduler import PeerScheduler, WorkerEvents
    from recsearch.tuning.searcher import PlannedSearcher
    from recsearch.tuning.worker import TrialWorker

    shared = _worker_setup(resolved, identity, paths)
    # The split goes to Ray's object store once; workers map it.
    trainable = tune.with_parameters(TrialWorker, split=resolved.split, shared=shared)
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=PlannedSearcher(planner, failure),
            scheduler=PeerScheduler(ledger, pruning_rule(resolved), failure),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(state_folder),
            verbose=0,
            stop=failure,
            callbacks=[WorkerEvents(ledger, planner, failure, on_step)],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1, checkpoint_frequency=1),
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    )


def pruning_rule(resolved: Resolved) -> Rule:
    """The scheduler that the search asks for.

    Raises:
        SpecError: an option that it does not have.
    """
    search = resolved.request.spec.search
    return parse_scheduler(search.scheduler, search.scheduler_options, _max_epochs(resolved))


def _max_epochs(resolved: Resolved) -> int:
    return resolved.request.spec.search.max_epochs if resolved.family.iterative else 1


def _trial_name(trial: Any) -> str:
    # Ray names folders after parameters by default, which can exceed a path's length.
    # A trial whose worker died is a second trial for Ray.
    return f"trial-{trial.config['trial']:04d}-{trial.trial_id}"


def _worker_setup(resolved: Resolved, identity: dict[str, Any], paths: RunPaths) -> Any:
    from recsearch.tuning.worker import WorkerSetup

    search, family = resolved.request.spec.search, resolved.family
    return WorkerSetup(
        model=resolved.request.spec.model.class_,
        seed=resolved.request.seed,
        max_epochs=_max_epochs(resolved),
        stop=parse_stop(identity["search"]["search"]["stop"]),
        objective=parse(search.metric).name,
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
    )


def shared_bytes(split: Split) -> int:
    """Bytes that go to Ray's object store."""
    rows = (split.train, split.heldout)
    arrays = [array for row in rows for array in (row.indptr, row.items, row.values, row.times)]
    return sum(array.nbytes for array in (*arrays, split.titles) if array is not None)


def absolute_url(url: str) -> str:
    """A folder as an absolute path: workers run in a folder of their own."""
    return url if "://" in url else str(Path(url).expanduser().resolve())
