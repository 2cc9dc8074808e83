"""``recsearch status`` and ``recsearch best``: read runs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from recsearch.cli.options import json_option, program, run_path
from recsearch.cli.output import print_json, print_markdown, print_rows
from recsearch.cli.report import opens
from recsearch.errors import UsageError
from recsearch.printable import clean

RUN_COLUMNS = (
    "run", "objective", "best", "trial", "epoch", "planned", "done", "pruned", "cached", "error",
    "epochs",
)  # fmt: skip
"""What the table of all runs shows of each."""


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--failed", is_flag=True, help="Only trials that ended in an error, with their logs.")
@click.option(
    "--where",
    metavar="CONDITION",
    help="Only trials whose best epoch, parameters and state meet it, such as "
    "'RMSE < 0.83 and embedding_size <= 64' or 'state == pruned'.",
)
@click.option(
    "--follow", is_flag=True, help="A line for every trial as it ends, until the search does."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print trials as CSV.")
@click.option("--md", "as_md", is_flag=True, help="Print trials as a Markdown table.")
@json_option
def status(
    run: Path | None,
    failed: bool,
    where: str | None,
    follow: bool,
    as_csv: bool,
    as_md: bool,
    as_json: bool,
) -> None:
    """Show the trials of RUN, or all runs below runs/ in a line each.

    With --follow, --json prints a JSON document per line.
    """
    if sum((as_csv, as_md, as_json)) > 1:
        raise UsageError("--csv, --md and --json: one format at a time.")
    if run is None:
        _need_run({"--failed": failed, "--where": where, "--follow": follow})
        _all_runs(as_csv=as_csv, as_md=as_md, as_json=as_json)
    elif follow:
        if as_csv or as_md:
            raise UsageError("--follow prints lines, or JSON with --json: no --csv and no --md.")
        from recsearch.cli.follow import follow as lines

        for line in lines(run_path(run), failed=failed, where=where, as_json=as_json):
            click.echo(line)
    else:
        _one_run(run_path(run), failed, where, as_csv=as_csv, as_md=as_md, as_json=as_json)


def _one_run(
    root: Path, failed: bool, where: str | None, *, as_csv: bool, as_md: bool, as_json: bool
) -> None:
    from recsearch.cli.trial_rows import trial_row, wanted
    from recsearch.run import RunView

    view = RunView.open(root)
    trials = list(filter(wanted(view, failed=failed, where=where), view.trials))
    rows = [trial_row(view, trial) for trial in trials]
    if as_json:
        print_json(
            {"run": view.name, "counts": view.counts, "planned": view.planned, "trials": rows}
        )
    elif as_csv:
        _print_csv(rows, ["trial"])
    elif as_md:
        print_markdown(rows)
    elif failed:
        _print_failures(view, trials)
    else:
        _print_status(view, rows)


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--by", "--metric", "metric", help="Best by this metric, not the (first) objective.")
@click.option("--result", is_flag=True, help="The result instead of the configuration.")
@click.option("--front", is_flag=True, help="The Pareto front of all objectives, as a table.")
@json_option
def best(run: Path, metric: str | None, result: bool, front: bool, as_json: bool) -> None:
    """Print the best configuration of RUN (JSON, ready for: recsearch verify)."""
    from recsearch.best import config_document, result_document
    from recsearch.evaluation import parse
    from recsearch.run import RunView

    view = RunView.open(run_path(run))
    if front:
        if metric or result:
            raise UsageError("--front prints the whole front: it goes without --by and --result.")
        _print_front(view, as_json)
        return
    found = view.best(metric)
    if found is None:
        raise UsageError(
            f"{view.name}: no finished epoch with {metric or view.objective.name} yet.",
            hint=f"See how far it is: recsearch status {view.path}",
        )
    make = result_document if result else config_document
    print_json(make(view.identity, *found, None if metric is None else parse(metric)))


def _print_front(view: Any, as_json: bool) -> None:
    from recsearch.best import front_document

    document = front_document(view.identity, view.record)
    if as_json:
        print_json(document)
        return
    names = [objective["name"] for objective in document["objectives"]]
    params = dict.fromkeys(name for point in document["front"] for name in point["params"])
    rows = [
        {
            "trial": point["trial"],
            "epoch": point["epoch"],
            **point["objectives"],
            "best by": ", ".join(point["best_by"]),
            **{f"params.{name}": point["params"].get(name) for name in params},
        }
        for point in document["front"]
    ]
    columns = ["trial", "epoch", *names, "best by", *(f"params.{name}" for name in params)]
    print_rows(rows, columns)


def _need_run(given: dict[str, Any]) -> None:
    for option, value in given.items():
        if value:
            raise UsageError(f"{option} is about trials: name the run, such as runs/als-ml1m.")


def _all_runs(*, as_csv: bool, as_md: bool, as_json: bool) -> None:
    from recsearch.run import RunView

    folders = sorted(path.parent for path in Path("runs").glob("*/run.json"))
    rows = [_run_row(RunView.open(folder)) for folder in folders if opens(folder)]
    if as_json:
        print_json(rows)
    elif as_csv:
        _print_csv(rows, RUN_COLUMNS)
    elif not rows:
        click.echo("No runs below runs/. Start one: make search-als-demo", err=True)
    elif as_md:
        print_markdown([{name: row[name] for name in RUN_COLUMNS} for row in rows])
    else:
        print_rows(rows, RUN_COLUMNS)


def _run_row(view: Any) -> dict[str, Any]:
    found = view.best()
    return {
        "run": view.name,
        "objective": view.objective.name,
        "best": None if found is None else found[1].value(view.objective.name),
        "trial": None if found is None else found[0].number,
        "epoch": None if found is None else found[1].epoch,
        "planned": view.planned,
        **view.counts,
    }


def _print_status(view: Any, rows: list[dict[str, Any]]) -> None:
    from recsearch.cli.summary import result_lines

    counts = view.counts
    for line in result_lines(view.record):
        click.echo(line)
    shown = ("done", "pruned", "cached", "error", "interrupted", "training")
    click.echo(
        f"trials     {len(rows)} of {view.planned}: "
        + ", ".join(f"{counts[name]} {name}" for name in shown)
    )
    for note in view.record.notes:
        click.echo(f"note       {clean(note)}")
    sign = 1 if view.objective.direction == "min" else -1
    name = view.objective.name
    rows.sort(key=lambda row: (row[name] is None, sign * (row[name] or 0), row["trial"]))
    columns = [key for key in (rows[0] if rows else {}) if key != "message"]
    print_rows(rows, tuple(columns))


def _print_failures(view: Any, trials: list[Any]) -> None:
    from recsearch.rerun import rerun_commands
    from recsearch.run_paths import RunPaths

    if not trials:
        click.echo("No trial ended in an error.")
    for trial in trials:
        where = f"trial {trial.number}, epoch {len(trial.epochs) + 1}"
        click.echo(clean(f"{where}: {trial.reason}: {trial.message}"))
        click.echo(f"  configuration  {json.dumps(trial.config)}")
        click.echo(f"  log            {RunPaths(view.path).trial(trial.number) / 'err.log'}")
    for command in rerun_commands(view, trials, program()):
        click.echo(clean(f"run them again: {command}"))


def _print_csv(rows: list[dict[str, Any]], least: Sequence[str]) -> None:
    """Print every key of the rows; of none, the ``least`` that there are."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(sys.stdout, columns or least)
    writer.writeheader()
    writer.writerows(rows)
