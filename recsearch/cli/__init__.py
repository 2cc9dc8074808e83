"""The ``recsearch`` command. Commands are imported when called, so that ``--help`` is instant."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from recsearch import __version__
from recsearch.errors import RecsearchError
from recsearch.printable import clean_lines
from recsearch.urls import without_secrets

COMMANDS: dict[str, tuple[str, str]] = {
    "search": ("recsearch.cli.search:search", "Run or resume a hyperparameter search."),
    "continue": (
        "recsearch.cli.continue_:continue_",
        "Give pruned or stopped trials of a run more epochs.",
    ),
    "status": ("recsearch.cli.runs:status", "Show runs, or the trials of one run."),
    "summary": (
        "recsearch.cli.summary_command:summary",
        "One table of runs: best values, gains, trials, epochs and time.",
    ),
    "best": ("recsearch.cli.runs:best", "Print the best configuration or result of a run."),
    "load": ("recsearch.cli.load:load", "Load a checkpoint: recommend, export or re-evaluate."),
    "verify": ("recsearch.cli.verify:verify", "Retrain a best-config.json and compare."),
    "final": (
        "recsearch.cli.final:final",
        "Retrain the best configuration and measure it on the test parts.",
    ),
    "compare": ("recsearch.cli.compare:compare", "Compare runs by paired tests over users."),
    "evaluate": (
        "recsearch.cli.evaluate:evaluate",
        "Measure stored checkpoints by other metrics, without training.",
    ),
    "predict": ("recsearch.cli.predict:predict", "Write recommendation lists of a checkpoint."),
    "track": (
        "recsearch.cli.track:track",
        "Log a run to TensorBoard, Weights & Biases or MLflow.",
    ),
    "export": ("recsearch.cli.export:export", "Write a run in the format of another tool."),
    "report": ("recsearch.cli.report:report", "Render the pages of runs."),
    "spaces": ("recsearch.cli.spaces:spaces", "List, show and check search files."),
    "explain": ("recsearch.cli.explain:explain", "Say in words what a search file asks for."),
    "data": ("recsearch.cli.data:data", "List, show and fetch data sets."),
    "store": (
        "recsearch.cli.store:store",
        "Look into the checkpoint store and look after it.",
    ),
    "doctor": (
        "recsearch.cli.doctor:doctor",
        "Look at this machine, the store and the data before a long search.",
    ),
}
"""Command name to where it lives and what it does in one line."""


class LazyGroup(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order of a user's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="recsearch")
def cli() -> None:
    """Hyperparameter search for recommender models that never loses an epoch.

    Kill it anywhere and type the same command again. Exit codes: 0 ok, 1 failed, 2 usage or bad
    search file, 3 identity mismatch or failed verification, 4 damaged store, 5 finished but some
    trials erred, 130 interrupted and resumable.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; errors are one paragraph on stderr."""
    try:
        result: Any = cli.main(args=arguments, prog_name="recsearch", standalone_mode=False)
    except click.ClickException as err:
        err.show()
        sys.exit(err.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; the same command resumes.", err=True)
        sys.exit(130)
    except RecsearchError as err:
        click.echo(clean_lines(f"Error: {without_secrets(str(err))}"), err=True)
        sys.exit(err.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    sys.exit(result if isinstance(result, int) else 0)
