"""``recsearch export``: a run in the format of another tool."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from recsearch.cli.options import run_path
from recsearch.errors import UsageError
from recsearch.printable import clean


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--optuna",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write an Optuna study (journal file), which optuna-dashboard reads.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def export(run: Path, optuna: Path | None, force: bool) -> None:
    """Write RUN in the format of another tool; of a run in progress, what there is so far.

    The value of a trial is that of its best epoch. Models are exported by recsearch load --out,
    checkpoints by recsearch store export.
    """
    from recsearch.run import RunView
    from recsearch.study_export import export_study

    if optuna is None:
        raise UsageError("export: expected --optuna FILE.", hint="See: recsearch export --help")
    view = RunView.open(run_path(run))
    count = export_study(view, optuna, force=force)
    click.echo(clean(f"{optuna}: study {view.name}, {count} trials"))
    click.echo(f"next       optuna-dashboard {shlex.quote(str(optuna))}")
