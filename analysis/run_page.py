"""What the page of one run is made of: every block's content, its figures and the files beside."""

from __future__ import annotations

from typing import Any, NamedTuple

from analysis.budget import budget_info
from analysis.endings import endings_info
from analysis.exports import best_config_json, epochs_csv, pareto_json, trials_csv
from analysis.failures import failures_info
from analysis.figures import Figure, Table, figure
from analysis.final import final_info
from analysis.folds import folds_info
from analysis.gains import gains_info
from analysis.overview import facts, overview_info
from analysis.plots import curve_sample, curves, edf, front, histogram, progress, timeline
from analysis.plots.tradeoff import caption as tradeoff_caption
from analysis.plots.tradeoff import draw_tradeoff, sentence, tradeoff_infos
from analysis.plots.tradeoff import table as tradeoff_table
from analysis.random_search import RandomSearch, random_search_info
from analysis.reproduce import reproduce_info
from analysis.results import best_info, checkpoints_info, front_rows, parameter_names, trials_info
from analysis.sections.parameters import parameters_section
from analysis.sections.space import space_section
from analysis.storage import restorable_words, storage_info
from analysis.verdict import has_rival
from analysis.verification import verification_info
from recsearch.run import RunView
from recsearch.store import Usage


class RunPage(NamedTuple):
    """``context`` fills the template; ``files`` are texts beside it, ``tables`` CSV, by path."""

    context: dict[str, Any]
    figures: tuple[Figure, ...]
    tables: dict[str, Table]
    files: dict[str, str]


def run_page(run: RunView, usage: Usage | str, store_url: str | None = None) -> RunPage:
    """Collect the page of a run.

    Args:
        run: the run.
        usage: what its store holds, or why that is not known.
        store_url: the store to name in commands, if not the default.
    """
    random = random_search_info(run)
    space, parameters = space_section(run), parameters_section(run)
    figures = {
        "front_figures": _front(run),
        "progress": _progress(run, random),
        "epochs": _epochs(run),
        "tradeoffs": _tradeoffs(run),
    }
    context = {
        **_head(run),
        **_stored(run, usage),
        "best": best_info(run),
        "verification": verification_info(run),
        "gains": gains_info(run),
        "has_rival": has_rival(run),
        "folds": folds_info(run),
        "final": final_info(run),
        "objectives": [objective.name for objective in run.objectives],
        "front": front_rows(run),
        "budget": budget_info(run, random),
        "endings": endings_info(run),
        "failures": failures_info(run),
        "parameter_names": parameter_names(run),
        "space": space,
        "parameters": parameters,
        "trials": trials_info(run),
        "reproduce": reproduce_info(run, store_url),
        **figures,
    }
    drawn = [item for group in figures.values() for item in group]
    tables = {"data/space.csv": space.table}
    return RunPage(context, (*parameters.figures, *drawn), tables, _files(run))


def _head(run: RunView) -> dict[str, Any]:
    overview = overview_info(run)
    return {"overview": overview, "facts": facts(run, overview)}


def _stored(run: RunView, usage: Usage | str) -> dict[str, Any]:
    storage = storage_info(run, usage)
    return {
        "checkpoints": checkpoints_info(run),
        "storage": storage,
        "restorable": restorable_words(storage),
    }


def _files(run: RunView) -> dict[str, str]:
    made = {
        "best-config.json": best_config_json(run),
        "pareto.json": pareto_json(run),
        "trials.csv": trials_csv(run),
        "epochs.csv": epochs_csv(run),
    }
    return {name: text for name, text in made.items() if text is not None}


def _front(run: RunView) -> list[Figure]:
    info = front.front_info(run)
    if info is None:
        return []
    return [figure("front", front.draw_front(info), front.caption(info), front.table(info))]


def _progress(run: RunView, random: RandomSearch | None) -> list[Figure]:
    found = []
    if (by_trial := progress.progress_by_trial_info(run, random)) is not None:
        found.append(
            figure("progress-trial", progress.draw_progress_by_trial(by_trial),
                   progress.by_trial_caption(by_trial), progress.by_trial_table(by_trial))
        )  # fmt: skip
    if (by_time := progress.progress_by_time_info(run)) is not None:
        found.append(
            figure("progress-time", progress.draw_progress_by_time(by_time),
                   progress.by_time_caption(by_time), progress.by_time_table(by_time))
        )  # fmt: skip
    if (shares := edf.edf_info(run)) is not None:
        found.append(figure("edf", edf.draw_edf(shares), edf.caption(shares), edf.table(shares)))
    return found


def _epochs(run: RunView) -> list[Figure]:
    found = []
    if (counts := histogram.histogram_info(run)) is not None:
        found.append(figure("epochs-completed", histogram.draw_histogram(counts),
                            histogram.caption(counts), histogram.table(counts)))  # fmt: skip
    if (best := curves.best_curve_info(run)) is not None:
        found.append(figure("best-curve", curves.draw_best_curve(best),
                            curves.best_caption(best), curves.table(best)))  # fmt: skip
    if (longest := curves.longest_curves_info(run)) is not None:
        found.append(figure("longest-curves", curves.draw_longest_curves(longest),
                            curves.longest_caption(longest), curves.table(longest)))  # fmt: skip
    if (sample := curve_sample.curve_sample_info(run)) is not None:
        found.append(figure("curve-sample", curve_sample.draw_curve_sample(sample),
                            curve_sample.caption(sample), curve_sample.table(sample)))  # fmt: skip
    if (bars := timeline.timeline_info(run)) is not None:
        found.append(figure("timeline", timeline.draw_timeline(bars), timeline.caption(bars),
                            timeline.table(bars)))  # fmt: skip
    return found


def _tradeoffs(run: RunView) -> list[Figure]:
    return [
        figure(info.name, draw_tradeoff(info), f"{sentence(info)} {tradeoff_caption(info)}".strip(),
               tradeoff_table(info))
        for info in tradeoff_infos(run)
    ]  # fmt: skip
