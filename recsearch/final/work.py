"""``recsearch final``: runs the phases over the cores, and journals when test data is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsearch.data import Split
from recsearch.errors import RecsearchError
from recsearch.evaluation import evaluate, parse
from recsearch.final.phases import PHASES, done, next_phase, run_phase
from recsearch.final.plan import CONFIGS, Unit, candidates, make_units, test_parts
from recsearch.final.pool import workers
from recsearch.final.results import Final, summarise, write_results
from recsearch.journal import Journal
from recsearch.loading import split_of
from recsearch.models import resolve
from recsearch.run import RunPaths, RunView, locked
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


def run_final(
    request: FinalRequest, progress: Progress = lambda unit, phase, seconds: None
) -> Final:
    """Train and measure what is left, and write the results.

    Killed anywhere, the same call goes on where it was: finished epochs are in the store, finished
    phases in files. Where nothing is left, no test data is read.

    Raises:
        UsageError: there is no best configuration yet, or no such part.
        RunLockedError: another process works on the run.
        StoreError: a checkpoint cannot be written or read; the same command resumes.
    """
    paths = RunPaths(request.root)
    view = RunView.open(request.root)
    family = resolve(view.identity["search"]["model"]["class"]).on(
        view.identity.get("device", "cpu")
    )
    chosen = candidates(view, family, request.configs)
    parts = test_parts(view.identity, request.parts)
    seeds = request.seeds or (int(view.identity["seed"]),)
    store_url = _absolute(request.store_url or view.store_url)
    units = make_units(view, family, chosen, parts, seeds, store_url)
    with locked(paths), Journal(paths.journal) as journal:
        _work(units, journal, request, progress)
        # Made here: a run in which no trial has been trained may have no store yet.
        with Store.open(store_url) as store:
            store.collect(grace_s=60)
        final = summarise(view, units, lambda: _baselines(view, parts, journal, request))
        write_results(final, units)
    return final


def _work(units: Sequence[Unit], journal: Journal, request: FinalRequest, progress: Progress
          ) -> None:  # fmt: skip
    # Two configurations can be one and the same model.
    left = list({unit.folder: unit for unit in units if not done(unit)}.values())
    if not left:
        return
    # Those whose parts come first; training a model never waits for the measuring of another.
    with workers(min(request.workers, len(left))) as pool:
        running: dict[Future[float], tuple[Unit, str]] = {}
        for unit in left:
            _submit(pool, running, unit, next_phase(unit), journal, request)
        while running:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                unit, phase = running.pop(future)
                progress(unit, phase, _seconds(future))
                after = PHASES[PHASES.index(phase) + 1 :]
                if after:
                    _submit(pool, running, unit, after[0], journal, request)
                else:
                    _note(journal, unit, "done", request)


def _submit(
    pool: Executor,
    running: dict[Future[float], tuple[Unit, str]],
    unit: Unit,
    phase: str,
    journal: Journal,
    request: FinalRequest,
) -> None:
    # Before it is done, so that no reading of test data can miss in the journal.
    _note(journal, unit, phase, request)
    running[pool.submit(run_phase, unit, phase)] = unit, phase


def _seconds(future: Future[float]) -> float:
    try:
        return future.result()
    except BrokenExecutor as err:
        raise RecsearchError(
            "a process that measured a model died (out of memory, or killed).",
            hint="Nothing that was finished is lost: type the same command again, with fewer "
            "--workers where memory was short.",
        ) from err


def _note(journal: Journal, unit: Unit, phase: str, request: FinalRequest) -> None:
    journal.append(
        "test",
        config=unit.candidate.name,
        part=unit.part,
        seed=unit.seed,
        phase=phase,
        key=unit.key,
        epochs=unit.candidate.epochs,
        command=request.command,
    )


def _baselines(
    view: RunView, parts: Sequence[int], journal: Journal, request: FinalRequest
) -> dict[str, list[dict[str, Any]]]:
    """Tuned bias and popularity on the test parts; dampings come from the validation part."""
    from recsearch.baselines import bias_scores, popularity_scores

    names = [name for name in ("bias", "popular") if name in view.baselines]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for part in parts:
        split: Split = split_of(view.identity, part)
        for name in names:
            journal.append(
                "test", config=name, part=part, seed=None, phase="eval", command=request.command
            )
            metrics = list(view.identity["metrics"])
            if name == "bias":
                damping = view.baselines[name]["config"]["damping"]
                scores = bias_scores(split, damping["user"], damping["item"])
            else:
                metrics = [m for m in metrics if parse(m).kind == "ranking"]
                scores = popularity_scores(split)
            found[name].append({"part": part, "metrics": evaluate(scores, split, metrics)})
    return found


def _absolute(url: str) -> str:
    """A folder as an absolute path: workers may run elsewhere."""
    return url if "://" in url else str(Path(url).expanduser().resolve())
