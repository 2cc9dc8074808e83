"""``recsearch evaluate``: further metrics from stored checkpoints."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from recsearch.cli.load import EpochChoice
from recsearch.cli.options import json_option, run_path
from recsearch.cli.output import print_json, print_table
from recsearch.cli.words import metric_names
from recsearch.printable import clean_lines


class TrialChoice(click.ParamType):  # type: ignore[type-arg]
    """A trial number, ``best`` or ``all``."""

    name = "best|all|N"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Check the option."""
        if value not in ("best", "all") and not str(value).isdecimal():
            self.fail(f"{value!r} is neither a number nor best nor all", param, ctx)
        return str(value)


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--metrics", required=True, help="What to measure, such as NDCG@10,Recall@20.")
@click.option(
    "--trials", type=TrialChoice(), default="best", show_default=True, help="Which trials."
)
@click.option("--epoch", type=EpochChoice(), default="best", show_default=True, help="Which epoch.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write CSV, too.")
@click.option(
    "--store",
    "store_url",
    envvar="RECSEARCH_STORE",
    help="Checkpoint store.  [default: the one of the run]",
)
@json_option
def evaluate(
    run: Path,
    metrics: str,
    trials: str,
    epoch: Any,
    out: Path | None,
    store_url: str | None,
    as_json: bool,
) -> int:
    """Measure stored checkpoints of RUN on its validation part, without training.

    Of a search with several folds every one is measured; the value is their mean.

    Exit code 5 if some of the checkpoints are not in the store, or damaged.
    """
    from recsearch.files import replace_file
    from recsearch.reevaluation import reevaluate, trials_to_measure
    from recsearch.run import RunView
    from recsearch.threads import use_one_thread

    use_one_thread()
    view = RunView.open(run_path(run))
    names = metric_names(metrics)
    chosen = trials_to_measure(view, trials)
    rows = list(reevaluate(view, chosen, epoch, names, store_url))
    headers = ["trial", "epoch", *names]
    table = [[row.trial, row.epoch, *((row.metrics or {}).get(n) for n in names)] for row in rows]
    if out is not None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([headers, *table])
        replace_file(out, lambda file: file.write(text.getvalue().encode()))
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_table(headers, table)
    missing = [row for row in rows if row.metrics is None]
    for row in missing:
        click.echo(clean_lines(f"not measured: {row.problem}"), err=True)
    return 5 if missing else 0
