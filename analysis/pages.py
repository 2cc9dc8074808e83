"""The page of a run: one self-contained HTML file and what lies beside it.

Pages are derived from ``run.json`` and the journal alone and carry no time of their own, so
rendering an unchanged run again gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from analysis.exports import best_config_json, epochs_csv, pareto_json, trials_csv
from analysis.final import final_info
from analysis.folds import folds_info
from analysis.overview import facts, overview_info
from analysis.parameters import parameters_info
from analysis.plots import curves, front, histogram, progress, slices
from analysis.reproduce import reproduce_info
from analysis.results import (
    best_info,
    checkpoints_info,
    failures_info,
    front_rows,
    parameter_names,
    trials_info,
)
from analysis.writing import environment, write
from recsearch.run import RunView


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
    page = environment().get_template("run.html").render(_run_context(run, store_url))
    files = {
        "best-config.json": best_config_json(run),
        "pareto.json": pareto_json(run),
        "trials.csv": trials_csv(run),
        "epochs.csv": epochs_csv(run),
        "index.html": page,
    }
    for name, text in files.items():
        if text is not None:
            write(folder / name, text)
    return folder / "index.html"


def _run_context(run: RunView, store_url: str | None) -> dict[str, Any]:
    overview = overview_info(run)
    sliced = slices.slices_info(run)
    failures = failures_info(run)
    return {
        "overview": overview,
        "facts": facts(overview),
        "parameters": parameters_info(run),
        "best": best_info(run),
        "folds": folds_info(run),
        "final": final_info(run),
        "objectives": [objective.name for objective in run.objectives],
        "front": front_rows(run),
        "front_figure": _front(run),
        "slices": [_markup(svg) for svg in slices.draw_slices(sliced)],
        "slices_caption": slices.caption(sliced),
        "lines": sliced.lines(),
        "states": sliced.states(),
        "clipped": bool(sliced.limits and sliced.limits.clipped),
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
