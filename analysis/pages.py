"""Pages: one self-contained HTML file per run, and an index over all runs.

Pages are derived from ``run.json`` and the journal alone and carry no time of their own, so
rendering an unchanged run again gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis import formatting
from analysis.catalogue import COLUMNS, catalogue_info
from analysis.figures import Figure, figure
from analysis.plots import comparison
from analysis.run_page import figure_files, run_page
from analysis.storage import survey_store
from recsearch.errors import RecsearchError
from recsearch.run import RunView
from recsearch.store import Usage

_TEMPLATES = Path(__file__).parent / "templates"


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
        store_url: the store to name in the commands that load checkpoints, if not the default.
        usage: what the run's store holds, or why that is not known; by default it is looked up.

    Returns:
        The path of the page.

    Raises:
        UsageError: ``run_path`` holds no run.
        RecsearchError: the run is damaged, or the page cannot be written.
    """
    run = RunView.open(Path(run_path).resolve())
    folder = Path(out_dir) / run.path.name
    known = survey_store(run.store_url) if usage is None else usage
    page = run_page(run, known, store_url)
    for name, text in page.files.items():
        _write(folder / name, text)
    _write(folder / "index.html", _environment().get_template("run.html").render(page.context))
    return folder / "index.html"


def render_index(runs: Iterable[str | Path], out_dir: str | Path) -> Path:
    """Write the index over ``runs`` (run folders); those with a page in ``out_dir`` are linked.

    Raises:
        UsageError: one of the folders holds no run.
        RecsearchError: a run is damaged, or the index cannot be written.
    """
    views = [RunView.open(Path(path).resolve()) for path in runs]
    out = Path(out_dir)
    pages = {view.path.name for view in views if (out / view.path.name / "index.html").exists()}
    groups = catalogue_info(views, pages)
    figures: list[Figure | None] = []
    for at, group in enumerate(groups, start=1):
        info = comparison.comparison_info(group)
        svg = None if info is None else comparison.draw_comparison(info, f"group{at}")
        figures.append(None if info is None or svg is None else figure(
            f"group{at}", svg, comparison.caption(info), comparison.table(info)))  # fmt: skip
    text = (
        _environment()
        .get_template("index.html")
        .render(groups=list(zip(groups, figures, strict=True)), columns=COLUMNS, runs=len(views))
    )
    for name, data in figure_files([item for item in figures if item is not None]).items():
        _write(out / name, data)
    _write(out / "index.html", text)
    return out / "index.html"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = ("number", "metric", "signed", "percent", "count", "plural", "size", "duration")
    environment.filters.update({name: getattr(formatting, name) for name in names})
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals["style"] = Markup(style)  # noqa: S704 - our own file
    environment.globals["script"] = Markup(script)  # noqa: S704 - our own file
    # No other script runs on a page, whatever a run's texts contain.
    environment.globals["script_hash"] = f"sha256-{digest}"
    return environment


def _write(path: Path, text: str) -> None:
    """Readers see the old or the new file, never a part of one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as err:
        raise RecsearchError(
            f"{path}: cannot write the page: {err.strerror}.",
            hint="Choose a writable folder: recsearch report --out DIR",
        ) from err
