"""The page of a run: one self-contained HTML file and what lies beside it.

Pages are derived from the run folder and its store and carry no time of their own, so rendering an
unchanged run again gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from analysis.run_page import run_page
from analysis.storage import survey_store
from analysis.writing import write, write_page
from recsearch.run import RunView
from recsearch.store import Usage


def render_run(
    run_path: str | Path,
    out_dir: str | Path,
    store_url: str | None = None,
    usage: Usage | str | None = None,
) -> Path:
    """Write the page of one run and the files beside it.

    Args:
        run_path: the run folder; only read.
        out_dir: the folder of all pages; this run's goes to ``out_dir/<folder name>/``.
        store_url: the store of the run, if not the one it began with; commands name it.
        usage: what the run's store holds, or why that is not known; by default it is looked up.

    Returns:
        The path of the page.

    Raises:
        UsageError: ``run_path`` holds no run.
        RecsearchError: the run is damaged, or the page cannot be written.
    """
    run = RunView.open(Path(run_path).resolve())
    folder = Path(out_dir) / run.path.name
    page = run_page(
        run, survey_store(store_url or run.store_url) if usage is None else usage, store_url
    )
    for name, text in page.files.items():
        write(folder / name, text)
    return write_page(folder, "run.html", page.context, page.figures, page.tables)
