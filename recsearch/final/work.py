"""``recsearch final``: runs the phases over the cores, and journals when test data is read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from functools import partial
from itertools import dropwhile, groupby
from pathlib import Path

from recsearch.errors import RecsearchError, StoreError
from recsearch.files import absolute_url
from recsearch.final.baselines import measure_baselines
from recsearch.final.outcome import Final
from recsearch.final.phases import PHASES, DivergedError, done, run_phase
from recsearch.final.plan import CONFIGS, Unit, candidates, make_units, parts_to_test
from recsearch.final.pool import workers
from recsearch.final.results import summarise, write_results
from recsearch.journal import Journal
from recsearch.models import resolve
from recsearch.run import RunView, locked
from recsearch.run_paths import RunPaths
from recsearch.store import Store


@dataclass(frozen=True)
class FinalRequest:
    """What is to be measured.

    Attributes:
        root: the run folder.
        seeds: initial seeds of the models; the run's own where there are none.
        parts: test parts; all where there are none.
        configs: of ``best`` and ``default``.
        store_url: the store, if not that of the run.
        workers: models at a time.
        command: what was typed, for the journal.
    """

    root: Path
    seeds: tuple[int, ...] = ()
    parts: tuple[int, ...] = ()
    configs: tuple[str, ...] = CONFIGS
    store_url: str | None = None
    workers: int = 1
    command: str = ""


Progress = Callable[[Unit, str, float], None]
"""Called after a phase: model, phase, seconds."""

Note = Callable[..., object]
"""Writes a ``test`` event: config, part, seed, phase and what else there is to say."""

Steps = Iterator[tuple[Unit, str]]
"""Phases that must follow each other."""


def run_final(
    request: FinalRequest, progress: Progress = lambda unit, phase, seconds: None
) -> Final:
    """Train and measure what is left, and write the results.

    Killed anywhere, the same call goes on where it was: finished epochs are in the store, finished
    phases in files. Where nothing is left, no test data is read.

    Raises:
        UsageError: there is no run, no best configuration yet, or no such part.
        RunLockedError: another process works on the run.
        StoreError: a checkpoint cannot be written or read; the same command resumes.
        RecsearchError: some of the models failed; the others are measured.
    """
    paths = RunPaths(request.root)
    RunView.open(request.root)  # a folder without a run is refused before a lock is made beside it
    with locked(paths), Journal(paths.journal) as journal:

        def note(config: str, part: int, seed: int | None, phase: str, **more: object) -> None:
            told = {"config": config, "part": part, "seed": seed, "phase": phase}
            journal.append("test", **told, **more, command=request.command)

        # Only now: until the lock was held, a search could still find a better one.
        view = RunView.open(request.root)
        units = _units(view, request)
        _work(units, note, request.workers, progress)
        parts = sorted({unit.part for unit in units})
        final = summarise(view, units, measure_baselines(view, parts, note))
        write_results(final, units)
    return final


def _units(view: RunView, request: FinalRequest) -> list[Unit]:
    device = view.identity.get("device", "cpu")
    family = resolve(view.identity["search"]["model"]["class"]).on(device)
    chosen = candidates(view, family, request.configs)
    parts = parts_to_test(view.identity, request.parts)
    seeds = request.seeds or (int(view.identity["seed"]),)
    url = absolute_url(request.store_url or view.store_url)
    return make_units(view, family, chosen, parts, seeds, url)


def _work(units: Sequence[Unit], note: Note, count: int, progress: Progress) -> None:
    """Do what is left; one model after the other in each worker, so that results come early.

    Raises:
        RecsearchError: a model failed; raised after all others are measured.
    """
    # The default can be the best: one and the same model then.
    unique = {unit.folder: unit for unit in reversed(units)}
    left = [unit for unit in units if unique[unit.folder] is unit and not done(unit)]
    if not left:
        return
    lines, failed = _lines(left), list[str]()
    with workers(min(count, len(lines))) as pool:
        running: dict[Future[float], tuple[Steps, Unit, str]] = {}
        while lines or running:
            while lines and len(running) < count:
                _next(pool, running, lines.pop(0), note)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                steps, unit, phase = running.pop(future)
                error = _error(future)
                if error is not None:
                    failed.append(f"{unit}, {phase}: {error}")
                    _note(note, unit, "error", message=error)
                    rest = dropwhile(partial(_is_of, unit), steps)
                    _next(pool, running, rest, note)
                    continue
                progress(unit, phase, future.result())
                if phase == PHASES[-1]:
                    _note(note, unit, "done")
                _next(pool, running, steps, note)
    _collect(left[0].store_url)
    if failed:
        raise RecsearchError(
            f"{len(failed)} of {len(left)} models failed; the others are measured:\n"
            + "\n".join(f"  {line}" for line in failed),
            hint="The same command tries these again. Leave their seeds or parts out to see the "
            "results of the others.",
        )


def _lines(left: Sequence[Unit]) -> list[Steps]:
    """Steps by model: those that differ in their number of epochs alone train on each other."""
    first = {unit.key: at for at, unit in reversed(list(enumerate(left)))}
    ordered = sorted(left, key=lambda unit: (first[unit.key], unit.candidate.epochs))
    return [
        iter([(unit, phase) for unit in alike for phase in PHASES])
        for _, alike in groupby(ordered, key=lambda unit: unit.key)
    ]


def _is_of(unit: Unit, step: tuple[Unit, str]) -> bool:
    return step[0] is unit


def _next(
    pool: Executor,
    running: dict[Future[float], tuple[Steps, Unit, str]],
    steps: Steps,
    note: Note,
) -> None:
    step = next(steps, None)
    if step is None:
        return
    # Before it is done, so that no reading of test data can miss in the journal.
    _note(note, *step)
    running[pool.submit(run_phase, *step)] = (steps, *step)


def _error(future: Future[float]) -> str | None:
    """What the model raised, in one line; None where it ended well.

    Raises:
        RecsearchError: what is not the model's fault, and would meet the others, too.
    """
    error = future.exception()
    if isinstance(error, BrokenExecutor):
        raise RecsearchError(
            "a process that measured a model died (out of memory, or killed).",
            hint="Nothing that was finished is lost: type the same command again, with fewer "
            "--workers where memory was short.",
        ) from error
    if isinstance(error, RecsearchError) and not isinstance(error, DivergedError):
        raise error
    if error is None:
        return None
    return str(error) if isinstance(error, DivergedError) else f"{type(error).__name__}: {error}"


def _note(note: Note, unit: Unit, phase: str, **more: object) -> None:
    told = {"key": unit.key, "epochs": unit.candidate.epochs, **more}
    note(unit.candidate.name, unit.part, unit.seed, phase, **told)


def _collect(store_url: str) -> None:
    # Earlier epochs were dropped on the way. Another process may be collecting, or a manifest of
    # another run be damaged: nothing is deleted then, and the results are as good.
    with contextlib.suppress(StoreError), Store.open(store_url) as store:
        store.collect(grace_s=60)
