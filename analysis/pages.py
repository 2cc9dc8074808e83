"""Pages: one self-contained HTML file per run, and an index over all runs.

Pages are derived from ``run.json`` and the journal alone and carry no time of their own, so
rendering an unchanged run again gives the same bytes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis import formatting
from analysis.catalogue import COLUMNS, catalogue_info
from analysis.exports import best_config_json, epochs_csv, pareto_json, trials_csv
from analysis.final import final_info
from analysis.folds import folds_info
from analysis.overview import facts, overview_info
from analysis.plots import comparison, curves, front, histogram, progress
from analysis.reproduce import reproduce_info
from analysis.results import (
    best_info,
    checkpoints_info,
    failures_info,
    front_rows,
    parameter_names,
    trials_info,
)
from analysis.sections.parameters import parameters_section
from analysis.sections.space import space_section
from recsearch.errors import RecsearchError
from recsearch.run import RunView

_TEMPLATES = Path(__file__).parent / "templates"


class Figure(NamedTuple):
    """An SVG and its caption."""

    svg: Markup
    caption: str


def render_run(run_path: str | Path, out_dir: str | Path, store_url: str | None = None) -> Path:
    """Write the page of one run and the files beside it.

    Args:
        run_path: the run folder; only read.
        out_dir: the folder of all pages; this run's goes to ``out_dir/<folder name>/``.
        store_url: the store to name in the commands that load checkpoints, if not the default.

    Returns:
        The path of the page.

    Raises:
        UsageError: ``run_path`` holds no run.
        RecsearchError: the run is damaged, or the page cannot be written.
    """
    run = RunView.open(Path(run_path).resolve())
    folder = Path(out_dir) / run.path.name
    page = _environment().get_template("run.html").render(_run_context(run, store_url))
    files = {
        "best-config.json": best_config_json(run),
        "pareto.json": pareto_json(run),
        "trials.csv": trials_csv(run),
        "epochs.csv": epochs_csv(run),
        "index.html": page,
    }
    for name, text in files.items():
        if text is not None:
            _write(folder / name, text)
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
        figures.append(None if info is None or svg is None else _figure(
            svg, comparison.caption(info)))  # fmt: skip
    text = (
        _environment()
        .get_template("index.html")
        .render(groups=list(zip(groups, figures, strict=True)), columns=COLUMNS, runs=len(views))
    )
    _write(out / "index.html", text)
    return out / "index.html"


def _run_context(run: RunView, store_url: str | None) -> dict[str, Any]:
    overview = overview_info(run)
    failures = failures_info(run)
    return {
        "overview": overview,
        "facts": facts(overview),
        "space": space_section(run),
        "best": best_info(run),
        "folds": folds_info(run),
        "final": final_info(run),
        "objectives": [objective.name for objective in run.objectives],
        "front": front_rows(run),
        "front_figure": _front(run),
        "parameters": parameters_section(run),
        "histogram": _histogram(run),
        "curves": _curves(run),
        "progress": _progress(run),
        "failures": failures,
        "checkpoints": checkpoints_info(run),
        "parameter_names": parameter_names(run),
        "trials": trials_info(run),
        "n_trials": len(run.trials),
        "reproduce": reproduce_info(run, store_url),
    }


def _front(run: RunView) -> Figure | None:
    info = front.front_info(run)
    return None if info is None else _figure(front.draw_front(info), front.caption(info))


def _histogram(run: RunView) -> Figure | None:
    info = histogram.histogram_info(run)
    if info is None:
        return None
    return _figure(histogram.draw_histogram(info), histogram.caption(info))


def _curves(run: RunView) -> list[Figure]:
    best, longest = curves.best_curve_info(run), curves.longest_curves_info(run)
    found = []
    if best is not None:
        found.append(_figure(curves.draw_best_curve(best), curves.best_caption(best)))
    if longest is not None:
        found.append(_figure(curves.draw_longest_curves(longest), curves.longest_caption(longest)))
    return found


def _progress(run: RunView) -> list[Figure]:
    by_trial, by_time = progress.progress_by_trial_info(run), progress.progress_by_time_info(run)
    found = []
    if by_trial is not None:
        svg = progress.draw_progress_by_trial(by_trial)
        found.append(_figure(svg, progress.by_trial_caption(by_trial)))
    if by_time is not None:
        svg = progress.draw_progress_by_time(by_time)
        found.append(_figure(svg, progress.by_time_caption(by_time)))
    return found


def _figure(svg: str, caption: str) -> Figure:
    return Figure(_markup(svg), caption)


def _markup(svg: str) -> Markup:
    # Drawn by us; matplotlib and plots.svg escape every text that comes from a run.
    return Markup(svg)  # noqa: S704


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
    environment.globals["style"] = Markup(style)  # noqa: S704 - our own file
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
