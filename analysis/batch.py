"""The pages of several runs: each store is looked at once, and processes share the work."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from analysis.pages import render_run
from analysis.storage import survey_store
from recsearch.cpus import available_cpus
from recsearch.errors import RecsearchError
from recsearch.run import RunView
from recsearch.store import Usage
from recsearch.threads import use_one_thread

FEW = 3
"""Up to so many runs are rendered faster than another process is started."""


class Rendered(NamedTuple):
    """A run with its page, or with what is wrong with it."""

    run: Path
    page: Path | None
    error: RecsearchError | None


def render_runs(
    runs: Sequence[Path], out: Path, store_url: str | None = None, processes: int | None = None
) -> list[Rendered]:
    """Render the pages of ``runs``; what is wrong with one hinders no other.

    Args:
        runs: run folders.
        out: the folder of all pages.
        store_url: the store of the runs, if not the one each began with.
        processes: as many at a time; by default one for each core.
    """
    usages: dict[str, Usage | str] = {}
    work = [(run, out, store_url, _usage(run, store_url, usages)) for run in runs]
    workers = min(processes or available_cpus(), len(work))
    if workers < 2 or len(work) <= FEW:
        return [_render(*each) for each in work]
    # Forked ones would inherit the locks of threads that they do not have.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=use_one_thread) as pool:
        return list(pool.map(_render, *zip(*work, strict=True)))


def _usage(run: Path, store_url: str | None, known: dict[str, Usage | str]) -> Usage | str:
    try:
        url = store_url or RunView.open(run.resolve()).store_url
    except RecsearchError as err:
        return str(err)
    if url not in known:
        known[url] = survey_store(url)
    return known[url]


def _render(run: Path, out: Path, store_url: str | None, usage: Usage | str) -> Rendered:
    try:
        return Rendered(run, render_run(run, out, store_url, usage), None)
    except RecsearchError as err:
        return Rendered(run, None, err)
    except Exception as err:  # noqa: BLE001 - the pages of the other runs do not depend on it
        last = traceback.extract_tb(err.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        problem = f"{run}: its page cannot be made: {type(err).__name__}: {err} ({place})."
        return Rendered(run, None, RecsearchError(problem))
