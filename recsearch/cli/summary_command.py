"""``recsearch summary``: one table of runs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from recsearch.cli.options import json_option, run_path
from recsearch.cli.output import cell, print_json, print_rows
from recsearch.cli.report import opens
from recsearch.errors import UsageError
from recsearch.summary import RunSummary, document, metric_names, summarise
from recsearch.summary_table import columns, rows, to_csv, to_markdown


@click.command()
@click.argument(
    "runs", metavar="[RUN]...", nargs=-1, type=click.Path(path_type=Path, file_okay=False)
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with every digit.")
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown.")
def summary(runs: tuple[Path, ...], as_json: bool, as_csv: bool, as_markdown: bool) -> None:
    """Show RUNs (default: all below runs/) in one table, as several searches end with it.

    A row per run, with the metrics of its best epoch, or per fold, with their mean and standard
    deviation. Sorted by data set, kind of objective and objective, the best first.
    """
    if as_json + as_csv + as_markdown > 1:
        raise UsageError("--json, --csv and --md: only one of them can be printed.")
    named = [run_path(run) for run in runs]
    found = sorted(path.parent for path in Path("runs").glob("*/run.json"))
    summaries = [summarise(run) for run in named or [run for run in found if opens(run)]]
    if as_json:
        print_json(document(summaries))
    elif as_csv:
        click.echo(to_csv(summaries), nl=False)
    elif as_markdown:
        click.echo(to_markdown(summaries), nl=False)
    elif not summaries:
        click.echo("No runs below runs/. Start one: make search-als-demo", err=True)
    else:
        print_summary(summaries)


def print_summary(summaries: Sequence[RunSummary]) -> None:
    """Print the table; on a terminal that is too narrow for it, without some of the metrics."""
    table, metrics = rows(summaries), metric_names(summaries)
    shown = columns(summaries)
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        objectives = {summary.objective for summary in summaries}
        for name in reversed([name for name in metrics if name not in objectives]):
            if _width(table, shown) <= width:
                break
            shown.remove(name)
    print_rows([{name: row.get(name) for name in shown} for row in table], shown)


def _width(table: Sequence[dict[str, object]], names: Sequence[str]) -> int:
    return sum(
        2 + max(len(text) for text in [name, *(cell(row.get(name)) for row in table)])
        for name in names
    )
