"""One search from its first to its last trial."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from recsearch.constraints import check_feasible, feasible_default, feasible_of
from recsearch.cost import CostModel, available_bytes, check_memory, split_bytes
from recsearch.cpus import available_cpus
from recsearch.display import SilentDisplay
from recsearch.errors import RecsearchError, UsageError
from recsearch.estimate import Estimate, estimate, parse_size
from recsearch.evaluation import parse
from recsearch.files import write_atomic
from recsearch.gains import note_gains
from recsearch.interrupt import Interrupt
from recsearch.journal import Journal, now, read_events
from recsearch.ledger import Ledger
from recsearch.plan import trial_key, trial_keys
from recsearch.planner import Planner
from recsearch.priors import priors_of
from recsearch.record import Record
from recsearch.request import Resolved
from recsearch.run import check_identity, locked, move_aside, read_identity
from recsearch.run_paths import RunPaths
from recsearch.space import Params
from recsearch.spec import check_against_model
from recsearch.store import Store
from recsearch.suggest import Suggester, default_params, make_suggester
from recsearch.tuning.cluster import Clusters, LocalCluster
from recsearch.tuning.session import Session
from recsearch.tuning.trials import search_terms


@dataclass(frozen=True)
class Outcome:
    """How a search ended."""

    identity: Mapping[str, Any]
    record: Record
    paths: RunPaths
    moved: Path | None
    interrupted: bool
    erred: bool

    @property
    def exit_code(self) -> int:
        """0 ok, 5 finished but some trials erred, 130 interrupted."""
        if self.interrupted:
            return 130
        return 5 if self.erred else 0


def run_search(
    resolved: Resolved,
    display: SilentDisplay,
    clusters: Clusters | None = None,
    interrupt: Interrupt | None = None,
) -> Outcome:
    """Run or resume a search until all its trials have ended.

    Args:
        resolved: the search.
        display: what shows it.
        clusters: gives it Ray, if any trial is left: one that several searches share, or its own.
        interrupt: what stops it.

    Raises:
        UsageError: the search does not fit its model, or no trial its quota. Nothing is written
            then.
        IdentityError: the run folder holds another run.
        RunLockedError: another process works on it.
        StoreError: the store cannot be used.
    """
    request, interrupt = resolved.request, interrupt or Interrupt()
    clusters = clusters or partial(LocalCluster, interrupt=interrupt)
    paths = RunPaths(request.run_root)
    # While all this is closed again, a signal changes nothing of how the search has ended.
    with interrupt.patient(), locked(paths), contextlib.ExitStack() as stack:
        with interrupt.immediate():
            outcome = _run(resolved, paths, display, clusters, interrupt, stack)
        if not outcome.interrupted:
            problem = interrupt.spare(
                lambda: note_gains(paths.root, request.store_url, resolved.splits[0])
            )
            if problem:
                display.note(problem)
        return outcome


def _run(
    resolved: Resolved,
    paths: RunPaths,
    display: SilentDisplay,
    clusters: Clusters,
    interrupt: Interrupt,
    stack: contextlib.ExitStack,
) -> Outcome:
    request = resolved.request
    if not request.fresh:
        check_identity(paths, resolved.identity)
    workers = request.workers or available_cpus()
    size, free = sum(map(split_bytes, resolved.splits)), available_bytes()
    early = None
    if request.fresh or _may_have_work(paths, resolved):
        early = stack.enter_context(clusters(workers, size, resolved.family))
    # Imports the model's library, while Ray starts beside it. All that can be wrong with the
    # search is found before anything is written.
    suggester, expected = _check(resolved)
    if early is not None:
        cost = CostModel(resolved.family, resolved.split, 1.0, folds=len(resolved.splits))
        check_memory(request.spec, cost, workers, free, begun=paths.identity.exists())
    store = stack.enter_context(Store.open(request.store_url))
    moved = move_aside(paths) if request.fresh else None
    identity = _settle_identity(paths, resolved)
    journal = stack.enter_context(Journal(paths.journal))
    session = Session(resolved, identity, paths, journal, display, workers, store, interrupt)
    planner = make_planner(resolved, session.ledger, suggester, workers)

    def cluster() -> LocalCluster:
        return early or stack.enter_context(clusters(workers, size, resolved.family))

    interrupted = session.run(cluster, planner, search_terms(resolved), expected)
    return Outcome(identity, session.record, paths, moved, interrupted, planner.erred)


def _check(resolved: Resolved) -> tuple[Suggester, Estimate | None]:
    """The searcher, and what the checkpoints will take, of a search that can be run.

    Raises:
        UsageError: it does not fit its model, or no trial its quota.
    """
    check_against_model(resolved.request.spec)
    search_terms(resolved)
    suggester, expected = make_suggester_of(resolved), estimate(resolved)
    if expected is not None:
        expected.check(parse_size(resolved.request.spec.search.quota))
    return suggester, expected


def _may_have_work(paths: RunPaths, resolved: Resolved) -> bool:
    """Whether Ray is likely to be needed; judged before the model's library is there.

    How many points a finite space has can depend on the model's defaults and on constraints. So a
    search of one that has come to its end is taken to be at it; where it is not, Ray starts later.
    """
    spec = resolved.request.spec
    record = Record.replay(parse(spec.search.metric), read_events(paths.journal))
    searched = [trial.searched for trial in record.trials.values()]
    if any(trial.state == "error" for trial in searched) and resolved.request.retry_errors:
        return True
    ended = sum(trial.finished for trial in searched)
    if not searched or ended < len(searched):
        return True
    finite = spec.search.method == "grid" or spec.space.size is not None
    exhausted = finite and any(
        session.get("exit_code") in (0, 5) and session["trials"] == ended
        for session in record.sessions
    )
    return ended < spec.search.trials and not exhausted


def _settle_identity(paths: RunPaths, resolved: Resolved) -> dict[str, Any]:
    """The identity of the run in the folder, written there if the folder is new.

    Raises:
        RecsearchError: the folder holds a journal without its identity.
    """
    found = read_identity(paths)
    if found is None and paths.journal.exists():
        raise RecsearchError(
            f"{paths.root}: a journal without run.json; nothing was changed.",
            hint="Put run.json back, or move the folder aside with --fresh.",
        )
    if found is None:
        found = {**resolved.identity, "run_id": uuid.uuid4().hex, "created": now()}
        write_atomic(paths.identity, found)
    if resolved.profile is not None:
        write_atomic(paths.data_profile, resolved.profile)
    return found


def make_suggester_of(resolved: Resolved) -> Suggester:
    """The searcher that the search asks for.

    Raises:
        UsageError: the constraints leave no point of the space, or a grid is too large.
    """
    spec, family, split = resolved.request.spec, resolved.family, resolved.split

    def cost_of(params: Params) -> float:
        return family.work(family.complete(spec.configuration(params)), split).flops

    default: Params | None = default_params(spec, family.complete({}))
    feasible = feasible_of(spec, family, resolved.splits)
    if feasible is not None and default is not None:
        check_feasible(spec, family, resolved.splits, resolved.request.seed, feasible)
        default = feasible_default(spec.space, default, feasible)
    suggester = make_suggester(
        spec, resolved.request.seed, default, cost_of, feasible, priors_of(resolved.identity)
    )
    if suggester.total == 0:
        raise UsageError(
            f"{spec.source}: search.constraints: no point of the grid may be trained.",
            hint="Give a parameter other grid values, or search with --method tpe.",
        )
    return suggester


def make_planner(
    resolved: Resolved,
    ledger: Ledger,
    suggester: Suggester,
    workers: int = 1,
    *,
    lag: int | None = None,
) -> Planner:
    """The planner of a run, rebuilt from its journal; ``lag`` if not as the search has it."""
    request, family = resolved.request, resolved.family
    return Planner(
        ledger,
        suggester,
        total=request.spec.search.trials,
        lag=lag or request.spec.search.lag,
        complete=lambda params: family.complete(request.spec.configuration(params)),
        key_of=lambda config: trial_key(
            family, config, resolved.split, request.seed, resolved.metrics
        ),
        keys_of=lambda config: fold_keys(resolved, config),
        cost_of=lambda config: family.work(config, resolved.split).flops,
        workers=workers,
        retry_errors=request.retry_errors,
    )


def fold_keys(resolved: Resolved, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The key of every fold of a trial; none where the search has a single one."""
    if len(resolved.splits) == 1:
        return ()
    seed, metrics = resolved.request.seed, resolved.metrics
    return trial_keys(resolved.family, config, resolved.splits, seed, metrics)
