"""``recsearch continue``: more epochs for the best trials of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsearch.cli.options import (
    check_volume,
    program,
    run_path,
    track_option,
    volume_options,
)
from recsearch.cli.output import say
from recsearch.errors import UsageError
from recsearch.urls import command_line

if TYPE_CHECKING:
    from recsearch.interrupt import Interrupt
    from recsearch.tuning.continuing import Continued


@click.command(name="continue")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--top", type=click.IntRange(1), metavar="K", help="Continue the best K trials.")
@click.option(
    "--trial",
    "trials",
    type=click.IntRange(1),
    multiple=True,
    metavar="N",
    help="Continue trial N; may be given several times.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    required=True,
    help="Epochs that each trial is to have, those it has included.",
)
@click.option("--stop", is_flag=True, help="Let the stop rule of the search end them before.")
@click.option("--workers", type=click.IntRange(1), help="Trials at a time.  [default: cores]")
@click.option("--quota", help="Bytes that the run may hold in the store.  [default: as last time]")
@click.option(
    "--retry-errors", is_flag=True, help="Try again where a continuation ended in an error."
)
@track_option
@click.option("--report/--no-report", default=True, show_default=True, help="Render the page.")
@volume_options
def continue_(
    run: Path,
    top: int | None,
    trials: tuple[int, ...],
    epochs: int,
    stop: bool,
    workers: int | None,
    quota: str | None,
    retry_errors: bool,
    track: tuple[str, ...],
    report: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Give trials of RUN that were pruned or stopped more epochs, from their last checkpoints.

    No stored epoch is trained again, and the search stays what it was: later trials are suggested
    and pruned as if nothing had been continued. The same command again resumes, with the trials
    that it was continuing when it stopped.
    """
    check_volume(quiet, verbose)
    from recsearch.cli.search import page_of, resumable
    from recsearch.cli.summary import closing_lines
    from recsearch.display import make_display
    from recsearch.request import request_of_run
    from recsearch.run import RunView
    from recsearch.tracking import parse_targets
    from recsearch.tuning.cluster import quieten

    root = run_path(run)
    if top is None and not trials:
        raise UsageError(
            "continue: expected --top K, --trial N, or both.",
            hint=f"For example: {program()} continue {root} --top 5 --epochs {epochs}",
        )
    view, targets = RunView.open(root), parse_targets(track)
    request = request_of_run(
        root,
        view.identity,
        quota=quota or view.record.quota,
        workers=workers,
        retry_errors=retry_errors,
        command=command_line([program(), *sys.argv[1:]]),
        track=targets,
    )
    quieten()
    from recsearch.tuning.continuing import More, continue_trials

    more = More(top, trials, epochs, stop)
    display = make_display(sys.stderr, quiet=quiet, verbose=verbose)

    def work(interrupt: Interrupt) -> int:
        outcome = continue_trials(request, more, display, interrupt)
        page = page_of(root, request.store_url, interrupt) if report else None
        for line in (*trial_lines(outcome), *closing_lines(outcome, request, page)):
            say(line)
        return outcome.exit_code

    return resumable(request.command, work)


def trial_lines(outcome: Continued) -> Iterator[str]:
    """What the command did for each trial: its epochs, and what they brought beyond the search."""
    metric = outcome.record.objective
    for number in outcome.chosen:
        trial, had = outcome.record.trials[number], len(outcome.before[number].epochs)
        rows = [outcome.record.best_of(view) for view in (trial.searched, trial)]
        values = [f"{row.value(metric.name):.5f}" for row in rows if row is not None]
        epochs = [str(count) for count in (had, len(trial.epochs))]
        yield (
            f"trial {number:<4} {' -> '.join(dict.fromkeys(epochs))} epochs, "
            f"best {' -> '.join(dict.fromkeys(values))}"
        )
