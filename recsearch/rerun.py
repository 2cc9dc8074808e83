"""The commands that run trials again which ended in an error."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from recsearch.epochs import TrialView
from recsearch.run import RunView
from recsearch.urls import without_secrets


def rerun_commands(
    view: RunView, trials: Iterable[TrialView], program: str = "recsearch"
) -> list[str]:
    """One for the trials of the search, and one for each number of epochs others were continued to.

    Args:
        view: the run.
        trials: trials in error.
        program: how the user types this program.
    """
    found = list(trials)
    commands = []
    for target in sorted({trial.target or 0 for trial in found}):
        if not target:
            commands.append(f"{without_secrets(view.identity['command'])} --retry-errors")
            continue
        named = " ".join(f"--trial {t.number}" for t in found if t.target == target)
        folder = shlex.quote(str(view.path))
        commands.append(f"{program} continue {folder} {named} --epochs {target} --retry-errors")
    return commands
