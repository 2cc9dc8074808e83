"""The commands that run trials again which ended in an error."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from recsearch.epochs import TrialView
from recsearch.run import RunView
from recsearch.urls import without_secrets


def rerun_commands(
    view: RunView,
    trials: Iterable[TrialView],
    program: str = "recsearch",
    folder: str | None = None,
) -> list[str]:
    """One for the trials of the search, and one for each number of epochs others were continued to.

    Args:
        view: the run.
        trials: trials in error.
        program: how the user types this program.
        folder: how the run folder is named; by default by its path.
    """
    found = list(trials)
    commands = []
    for target in sorted({trial.target or 0 for trial in found}):
        if not target:
            command = view.identity.get("command")
            if command:
                commands.append(f"{without_secrets(command)} --retry-errors")
            continue
        named = " ".join(f"--trial {t.number}" for t in found if t.target == target)
        place = shlex.quote(folder or str(view.path))
        commands.append(f"{program} continue {place} {named} --epochs {target} --retry-errors")
    return commands
