"""Options that several commands share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from recsearch.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

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


def volume_options(command: Command) -> Command:
    """``-q`` and ``-v``; `check_volume` refuses both together."""
    quiet = click.option("-q", "--quiet", is_flag=True, help="No progress, only the result.")
    verbose = click.option(
        "-v", "--verbose", is_flag=True, help="A line for every epoch beside the progress."
    )
    return quiet(verbose(command))


def check_volume(quiet: bool, verbose: bool) -> None:
    """Refuse a command that is to say nothing and everything.

    Raises:
        UsageError: both are asked for.
    """
    if quiet and verbose:
        raise UsageError("--quiet and --verbose: expected one of them at most.")


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
