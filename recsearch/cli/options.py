"""Options that several commands share."""

from __future__ import annotations

import os
import shutil
import sys
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

track_option = click.option(
    "--track",
    multiple=True,
    metavar="TOOL",
    help="Log the run to tensorboard, wandb[:offline] or mlflow[:URI]; may be given several times.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def program() -> str:
    """How the user can type this command: by name where it is on the path, else by file."""
    found = shutil.which("recsearch")
    started = Path(sys.argv[0])
    if found and started.exists() and Path(found).resolve() == started.resolve():
        return "recsearch"
    if started.name == "recsearch":
        return os.path.relpath(started) if started.exists() else "recsearch"
    return "recsearch"


def run_path(run: Path) -> Path:
    """The folder of a run given by path, or by its name below ``runs/``."""
    beside = Path("runs") / run
    return beside if not (run / "run.json").exists() and (beside / "run.json").exists() else run
