"""The options of ``recsearch search``, and what they say as settings and as a place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from recsearch.cli.data_options import reading_options, split_option
from recsearch.cli.options import store_option, track_option, volume_options
from recsearch.pruning import SCHEDULERS

if TYPE_CHECKING:
    from recsearch.settings import Place, Settings

Command = TypeVar("Command", bound=Callable[..., Any])

TARGETS = (
    click.option(
        "--data",
        multiple=True,
        metavar="DATASET...",
        help="Data sets, up to the next option; every algorithm is searched on each.",
    ),
    click.option("--all", "every", is_flag=True, help="With --data: every search of searches/."),
    click.option(
        "--plan",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        metavar="FILE",
        help="A TOML file that names algorithms, data sets and settings.",
    ),
)
"""Which searches, beside the words that stand alone."""

SETTINGS = (
    click.option(
        "--trials", type=click.IntRange(1), help="Total number of trials, resumed ones included."
    ),
    click.option("--max-epochs", type=click.IntRange(1), help="Epochs per trial at most."),
    click.option(
        "--metric",
        multiple=True,
        help="Objective, such as RMSE or NDCG@10; several (RMSE,NDCG@10) for their Pareto front.",
    ),
    click.option("--method", type=click.Choice(["tpe", "random", "grid"]), help="Searcher."),
    click.option("--scheduler", type=click.Choice(SCHEDULERS), help="Pruning rule."),
    click.option(
        "--set",
        "set",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override any key of the search file, such as space.embedding_size.max=64.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        help="Root seed of searcher and initial parameters.  [default: 42]",
    ),
    click.option(
        "--split-seed",
        type=click.IntRange(0),
        help="Seed of the split.  [default: 20260701]",
    ),
    reading_options,
    split_option,
    click.option(
        "--folds",
        type=click.IntRange(1),
        metavar="K",
        help="Validate on parts 0 to K - 1 of the split: the objective is the mean over them.  "
        "[default: 1]",
    ),
    click.option(
        "--device",
        type=click.Choice(["cpu", "cuda"]),
        help="Where models train; trials share a GPU. Another device makes another run.  "
        "[default: cpu]",
    ),
    click.option("--retention", help="Which epochs stay: best+last, all, best:2+last:3, ..."),
    click.option(
        "--quota",
        metavar="SIZE",
        help="What the run's checkpoints may hold, such as '5 GB', or none.",
    ),
    click.option(
        "--prior",
        metavar="RUN|STUDY",
        help="Learn from the trials of a run folder or an Optuna study (FILE[:NAME] or a storage "
        "URL) before trial 1.",
    ),
    track_option,
)
"""Named as the fields of `recsearch.settings.Settings`; None where not given."""

PLACE = (
    click.option("--workers", type=click.IntRange(1), help="Trials at a time.  [default: cores]"),
    click.option(
        "--run",
        "run_dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Run folder.  [default: runs/<algorithm>-<dataset>, and options that differ]",
    ),
    store_option,
    click.option(
        "--fresh", is_flag=True, help="Move the run that is in the folder aside and start anew."
    ),
    click.option("--retry-errors", is_flag=True, help="Run trials that ended in an error again."),
)
"""Named as the fields of `recsearch.settings.Place`."""

OUTPUT = (
    click.option(
        "--dry-run",
        is_flag=True,
        help="Print what would be done and what it would take; do nothing.",
    ),
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="With --dry-run or several searches: print JSON.",
    ),
    click.option(
        "--summary",
        type=click.Path(path_type=Path, file_okay=False),
        default="runs",
        show_default=True,
        help="Folder of summary.json and summary.csv of several searches.",
    ),
    click.option("--report/--no-report", default=True, show_default=True, help="Render the page."),
    volume_options,
)


def search_options(command: Command) -> Command:
    """All options, in the order in which help lists them."""
    for option in reversed((*TARGETS, *SETTINGS, *PLACE, *OUTPUT)):
        command = option(command)
    return command


def settings_of(values: Mapping[str, Any]) -> Settings:
    """The settings among the values of all options."""
    from recsearch.settings import Settings

    names = {field.alias or name for name, field in Settings.model_fields.items()}
    found = {name: value for name, value in values.items() if name in names}
    lists = {name: list(value) for name, value in found.items() if isinstance(value, tuple)}
    return Settings.model_validate({**found, **lists})


def place_of(values: Mapping[str, Any]) -> Place:
    """The place among the values of all options."""
    from recsearch.settings import Place

    names = Place.__dataclass_fields__.keys()
    return Place(**{name: value for name, value in values.items() if name in names})
