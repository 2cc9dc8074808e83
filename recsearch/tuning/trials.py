"""Hands the planned trials to Ray Tune and waits until all have ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from recsearch.data import Split
from recsearch.evaluation import parse
from recsearch.ledger import Ledger
from recsearch.planner import Planner
from recsearch.pruning import parse_scheduler
from recsearch.request import Resolved
from recsearch.run import RunPaths
from recsearch.stopping import parse_stop

WORKER_DEATHS = 3
"""How often the process of one trial may die (killed, out of memory) before it is an error."""


def run_trials(
    resolved: Resolved,
    identity: dict[str, Any],
    paths: RunPaths,
    ledger: Ledger,
    planner: Planner,
    state_folder: Path,
    on_step: Callable[[], None],
) -> None:
    """Run every trial that the planner has left; ``on_step`` is called now and then."""
    _tuner(resolved, identity, paths, ledger, planner, on_step, state_folder).fit()


def _tuner(
    resolved: Resolved,
    identity: dict[str, Any],
    paths: RunPaths,
    ledger: Ledger,
    planner: Planner,
    on_step: Callable[[], None],
    state_folder: Path,
) -> Any:
    from ray import tune

    from recsearch.tuning.scheduler import PeerScheduler, WorkerEvents
    from recsearch.tuning.searcher import PlannedSearcher
    from recsearch.tuning.worker import TrialWorker

    search = resolved.request.spec.search
    shared = _worker_setup(resolved, identity, paths)
    rule = parse_scheduler(search.scheduler, search.scheduler_options, shared.max_epochs)
    # The split goes to Ray's object store once; workers map it.
    trainable = tune.with_parameters(TrialWorker, split=resolved.split, shared=shared)
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=PlannedSearcher(planner),
            scheduler=PeerScheduler(ledger, rule),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(state_folder),
            verbose=0,
            callbacks=[WorkerEvents(ledger, on_step)],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1, checkpoint_frequency=1),
            failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS),
        ),
    )


def _trial_name(trial: Any) -> str:
    # Ray names folders after parameters by default, which can exceed a path's length.
    return f"trial-{trial.config['trial']:04d}"


def _worker_setup(resolved: Resolved, identity: dict[str, Any], paths: RunPaths) -> Any:
    from recsearch.tuning.worker import WorkerSetup

    search, family = resolved.request.spec.search, resolved.family
    return WorkerSetup(
        model=resolved.request.spec.model.class_,
        seed=resolved.request.seed,
        max_epochs=search.max_epochs if family.iterative else 1,
        stop=parse_stop(identity["search"]["search"]["stop"]),
        objective=parse(search.metric).name,
        metrics=resolved.metrics,
        retention=search.retention,
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
    return url if "://" in url else str(Path(url).resolve())
