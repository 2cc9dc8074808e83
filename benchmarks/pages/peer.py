"""Optuna's own plots of runs, in one process: ``python -m benchmarks.pages.peer OUT RUN …``.

What its documentation shows of a study, drawn by its matplotlib backend as SVG: optimization
history, intermediate values, slices, contours of four parameters, parallel coordinates, EDF,
timeline, and importance by two methods. Nothing lays them out on a page.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import optuna
from matplotlib import pyplot
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.visualization import matplotlib as plots

from recsearch.run import RunView
from recsearch.study_export import export_study


def main(out: Path, runs: list[Path]) -> None:
    """Draw all plots of every run, and print the seconds that each run took."""
    mpl.use("Agg")
    warnings.simplefilter("ignore")
    logging.getLogger("optuna").setLevel(logging.ERROR)
    for run in runs:
        began = time.perf_counter()
        study = _study(run, out / f"{run.name}.log")
        names = list(study.best_trial.params)[:4]
        figures = {
            "history": lambda study=study: plots.plot_optimization_history(study),
            "intermediate": lambda study=study: plots.plot_intermediate_values(study),
            "slice": lambda study=study: plots.plot_slice(study),
            "contour": lambda study=study, names=names: plots.plot_contour(study, params=names),
            "parallel": lambda study=study: plots.plot_parallel_coordinate(study),
            "edf": lambda study=study: plots.plot_edf(study),
            "timeline": lambda study=study: plots.plot_timeline(study),
            "ped-anova": lambda study=study: plots.plot_param_importances(
                study, evaluator=PedAnovaImportanceEvaluator()
            ),
            "fanova": lambda study=study: plots.plot_param_importances(
                study, evaluator=FanovaImportanceEvaluator(seed=0)
            ),
        }
        folder = out / run.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in figures.items():
            draw()
            pyplot.savefig(folder / f"{name}.svg")
            pyplot.close("all")
        print(time.perf_counter() - began, flush=True)


def _study(run: Path, journal: Path) -> Any:
    export_study(RunView.open(run), journal, force=True)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.load_study(study_name=None, storage=storage)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]])
