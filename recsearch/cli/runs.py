"""``recsearch status`` and ``recsearch best``: read runs."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import click

from recsearch.cli.options import json_option, program, run_path
from recsearch.cli.output import print_json, print_markdown, print_rows
from recsearch.cli.report import opens
from recsearch.errors import UsageError
from recsearch.folds import folds_of, std_metrics


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
    """Show the trials of RUN, or all runs below runs/ in a line each."""
    if sum((as_csv, as_md, as_json)) > 1:
        raise UsageError("--csv, --md and --json: one format at a time.")
    if run is None:
        _need_run({"--where": where, "--follow": follow})
        _all_runs(as_json)
        return
    if follow:
        from recsearch.cli.follow import follow as lines

        for line in lines(run_path(run)):
            click.echo(line)
        return
    from recsearch.run import RunView

    view = RunView.open(run_path(run))
    trials = [trial for trial in view.trials if not failed or trial.state == "error"]
    if where is not None:
        trials = _meeting(view, trials, where)
    rows = [_trial_row(view, trial) for trial in trials]
    if as_json:
        print_json(
            {"run": view.name, "counts": view.counts, "planned": view.planned, "trials": rows}
        )
    elif as_csv:
        _print_csv(rows)
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


def _all_runs(as_json: bool) -> None:
    from recsearch.run import RunView

    folders = sorted(path.parent for path in Path("runs").glob("*/run.json"))
    views = [RunView.open(folder) for folder in folders if opens(folder)]
    rows = []
    for view in views:
        found = view.best()
        rows.append(
            {
                "run": view.name,
                "objective": view.objective.name,
                "best": None if found is None else found[1].value(view.objective.name),
                "trial": None if found is None else found[0].number,
                "epoch": None if found is None else found[1].epoch,
                "planned": view.planned,
                **view.counts,
            }
        )
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("No runs below runs/. Start one: make search-als-demo", err=True)
    else:
        print_rows(
            rows,
            (
                "run",
                "objective",
                "best",
                "trial",
                "epoch",
                "planned",
                "done",
                "pruned",
                "cached",
                "error",
                "epochs",
            ),
        )


def _meeting(view: Any, trials: list[Any], where: str) -> list[Any]:
    from recsearch.where import condition

    facts = [_facts(view, trial) for trial in trials]
    # Of all trials, so that a name means the same whichever of them are looked at.
    names = {name for trial in view.trials for name in _facts(view, trial)}
    test = condition(where, names)
    return [trial for trial, known in zip(trials, facts, strict=True) if test(known)]


def _facts(view: Any, trial: Any) -> dict[str, Any]:
    """What a condition can ask of a trial: its row, parameters by name, all metrics at its best."""
    best = view.trial_best(trial)
    row = {k: v for k, v in _trial_row(view, trial).items() if not k.startswith("params.")}
    return {**row, **({} if best is None else best.metrics), **trial.params}


def _trial_row(view: Any, trial: Any) -> dict[str, Any]:
    row = view.trial_best(trial)
    name = view.objective.name
    return {
        "trial": trial.number,
        "state": trial.state,
        "reason": "cached" if trial.cached else trial.reason,
        "message": trial.message,
        "epochs": len(trial.epochs),
        name: None if row is None else row.value(name),
        **_folds(view, row),
        "best_epoch": None if row is None else row.epoch,
        **{f"params.{key}": value for key, value in trial.params.items()},
    }


def _folds(view: Any, row: Any) -> dict[str, Any]:
    """How the objective spreads over the folds, and its value in each."""
    folds = folds_of(view.identity)
    if folds == 1:
        return {}
    name = view.objective.name
    found = [None] * folds if row is None else [fold.get(name) for fold in row.folds]
    spread = None if row is None else std_metrics(row.folds)[name]
    return {
        f"{name}.std": spread,
        **{f"{name}.fold{fold}": value for fold, value in enumerate(found)},
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
        click.echo(f"note       {note}")
    sign = 1 if view.objective.direction == "min" else -1
    name = view.objective.name
    rows.sort(key=lambda row: (row[name] is None, sign * (row[name] or 0), row["trial"]))
    columns = [key for key in (rows[0] if rows else {}) if key != "message"]
    print_rows(rows, tuple(columns))


def _print_failures(view: Any, trials: list[Any]) -> None:
    from recsearch.rerun import rerun_commands
    from recsearch.run import RunPaths

    if not trials:
        click.echo("No trial ended in an error.")
    for trial in trials:
        click.echo(
            f"trial {trial.number}, epoch {len(trial.epochs) + 1}: {trial.reason}: {trial.message}"
        )
        click.echo(f"  configuration  {json.dumps(trial.config)}")
        click.echo(f"  log            {RunPaths(view.path).trial(trial.number) / 'err.log'}")
    for command in rerun_commands(view, trials, program()):
        click.echo(f"run them again: {command}")


def _print_csv(rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(sys.stdout, columns or ["trial"])
    writer.writeheader()
    writer.writerows(rows)
