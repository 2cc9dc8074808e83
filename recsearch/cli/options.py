"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

store_option = click.option(
    "--store",
    "store_url",
    envvar="RECSEARCH_STORE",
    default="store",
    show_default=True,
    help="Checkpoint store: a folder or URL.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

run_argument = click.argument("run", type=click.Path(path_type=Path, file_okay=False))


def run_path(run: Path) -> Path:
    """The folder of a run given by path, or by its name below ``runs/``."""
    beside = Path("runs") / run
    return beside if not (run / "run.json").exists() and (beside / "run.json").exists() else run
