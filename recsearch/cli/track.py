"""``recsearch track``: a run in TensorBoard, Weights & Biases or MLflow, after the fact."""

from __future__ import annotations

from pathlib import Path

import click

from recsearch.cli.options import run_path
from recsearch.errors import RecsearchError
from recsearch.printable import clean


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--to",
    "targets",
    multiple=True,
    required=True,
    metavar="TOOL",
    help="tensorboard, wandb[:offline] or mlflow[:URI]; may be given several times.",
)
def track(run: Path, targets: tuple[str, ...]) -> None:
    """Log what a tool lacks of RUN: all of it, or what a killed or offline search left out.

    The same command again adds nothing. Of a run in progress it logs what there is so far.
    """
    from recsearch.tracking import follow, parse_targets, whereabouts

    root = run_path(run)
    for target in parse_targets(targets):
        try:
            count = follow(root, target)
        except RecsearchError:
            raise
        except Exception as err:
            # A tool may raise anything.
            raise RecsearchError(
                f"{target.text}: {type(err).__name__}: {err}",
                hint="What was logged stays; the same command logs the rest.",
            ) from err
        click.echo(f"{target.tool:<12}{count} trials of {root}")
        click.echo(clean(f"{'':<12}{whereabouts(target, root)}"))
