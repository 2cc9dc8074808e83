"""What ``--track`` and ``--to`` name: a tool, and where it keeps what it is told."""

from __future__ import annotations

import importlib.util
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from recsearch.errors import UsageError
from recsearch.identity import digest
from recsearch.space.words import nearest
from recsearch.urls import without_secrets

OFFLINE = "offline"
"""The one place that ``wandb`` can be given."""

FILES_ONLY = frozenset({"offline", "dryrun"})
"""Values of ``WANDB_MODE`` with which files are written and nothing is uploaded."""


class Tool(NamedTuple):
    """A tool: the module that it needs, what installs it, and whether it can be given a place."""

    module: str
    package: str
    places: str | None


TOOLS = {
    "tensorboard": Tool("tensorboardX", "ray[tune]", None),
    "wandb": Tool("wandb", "recsearch[wandb]", OFFLINE),
    "mlflow": Tool("mlflow", "recsearch[mlflow]", "a tracking URI"),
}
"""Every tool by name."""


class Target(NamedTuple):
    """A tool and its place: ``wandb:offline``, ``mlflow:http://host:5000``; None where not said."""

    tool: str
    place: str | None = None

    @property
    def text(self) -> str:
        """As a command has it."""
        return self.tool if self.place is None else f"{self.tool}:{self.place}"


def parse_target(text: str) -> Target:
    """The target that ``text`` names, of a tool that is installed.

    Raises:
        UsageError: no such tool, a place that it cannot have, or a package that is absent.
    """
    name, colon, place = text.partition(":")
    tool = TOOLS.get(name)
    if tool is None:
        raise UsageError(
            f"{text}: no such tracker, expected {', '.join(TOOLS)}{nearest(name, TOOLS)}"
        )
    fits = tool.places is not None and (place == OFFLINE if tool.places == OFFLINE else bool(place))
    if colon and not fits:
        raise UsageError(f"{text}: expected {_forms(name, tool)}")
    if importlib.util.find_spec(tool.module) is None:
        raise UsageError(
            f"{name}: the package {tool.module} is not installed; nothing was started.",
            hint=f"Install it: pip install '{tool.package}'",
        )
    return Target(name, place or None)


def parse_targets(texts: Iterable[str]) -> tuple[Target, ...]:
    """All targets; errors as for `parse_target`.

    Raises:
        UsageError: a tool is named twice.
    """
    found: dict[str, Target] = {}
    for text in texts:
        target = parse_target(text)
        if found.setdefault(target.tool, target) != target:
            raise UsageError(
                f"{target.text}: {found[target.tool].text} is named, too; expected one."
            )
    return tuple(found.values())


def whereabouts(target: Target, root: Path) -> str:
    """How to look at what a tool was told of the run in a folder: a command, or the place."""
    if target.tool == "tensorboard":
        return shlex.join(["tensorboard", "--logdir", str(root / "tensorboard")])
    if target.tool == "wandb":
        offline = target.place or os.environ.get("WANDB_MODE") in FILES_ONLY
        files = f"wandb sync {shlex.quote(str(root / 'wandb'))}/offline-run-*"
        return files if offline else "https://wandb.ai"
    uri = without_secrets(_mlflow_place(target, root))
    server = uri.startswith(("http:", "https:"))
    return uri if server else shlex.join(["mlflow", "ui", "--backend-store-uri", uri])


def slug(target: Target, root: Path) -> str:
    """A name of what is fed, for files: equal for targets that would write to the same place.

    W&B has one name: the environment decides where it goes, and its files are in one folder.
    """
    if target.tool != "mlflow" or _mlflow_place(target, root) == mlflow_uri(root):
        return target.tool
    place = without_secrets(_mlflow_place(target, root))
    return f"{target.tool}-{digest(place)[:8]}"


def _mlflow_place(target: Target, root: Path) -> str:
    return target.place or os.environ.get("MLFLOW_TRACKING_URI") or mlflow_uri(root)


def mlflow_uri(root: Path) -> str:
    """The MLflow database in a run folder, where nothing else is said."""
    return f"sqlite:///{root.resolve() / 'mlflow.db'}"


def _forms(name: str, tool: Tool) -> str:
    if tool.places is None:
        return name
    return f"{name} or {name}:{OFFLINE}" if tool.places == OFFLINE else f"{name} or {name}:URI"
