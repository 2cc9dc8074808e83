"""The run folder: its identity, its lock and its read-only view."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from recsearch.epochs import EpochRow, TrialView
from recsearch.errors import IdentityError, RecsearchError, RunLockedError, UsageError
from recsearch.evaluation import Metric, parse
from recsearch.files import store_from_run
from recsearch.identity import canonical_json
from recsearch.journal import read_events
from recsearch.record import Record
from recsearch.run_paths import RunPaths
from recsearch.spec import objectives_of

FORMAT = 1

IDENTITY_FIELDS = (
    "search.model",
    "search.search",
    "search.space",
    "dataset.dataset_id",
    "dataset.prepare",
    "split.split_id",
    "validation",
    "seed",
    "device",
    "priors.digest",
    "code",
    "store",
)
"""What must be equal for a command to continue a run, but for `FREE_FIELDS` below them."""

FREE_FIELDS = frozenset({"search.search.trials", "search.search.quota", "search.search.recompute"})
"""What each command says anew: ``trials`` is a total and may grow; the others decide no number."""


class RunView:
    """Read-only view of a run: identity and journal. Works while the run goes on.

    Attributes:
        path: the run folder.
        identity: the content of ``run.json``.
        record: the folded journal.
    """

    def __init__(self, path: Path, identity: dict[str, Any], record: Record):
        self.path = path
        self.identity = identity
        self.record = record

    @classmethod
    def open(cls, path: str | Path) -> RunView:
        """Read the run in folder ``path``.

        Raises:
            UsageError: the folder holds no run.
            RecsearchError: ``run.json`` or the journal is unreadable.
        """
        paths = RunPaths(Path(path))
        identity = read_identity(paths)
        if identity is None:
            raise UsageError(
                f"{path}: no run here (run.json is absent).",
                hint="See what runs there are: recsearch status",
            )
        first, *others = objectives_of(identity["search"]["search"])
        record = Record.replay(first, read_events(paths.journal), others)
        return cls(Path(path), identity, record)

    @property
    def store_url(self) -> str:
        """The store of the run; a folder is recorded relative to the run."""
        return store_from_run(self.path, self.identity["store"])

    @property
    def name(self) -> str:
        """Name of the run, such as ``als-ml1m``."""
        return str(self.identity["name"])

    @property
    def objective(self) -> Metric:
        """The metric that decides "best"; the first, of several."""
        return self.record.objective

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """Everything that is optimised, the first of them first."""
        return self.record.objectives

    @property
    def trials(self) -> tuple[TrialView, ...]:
        """All suggested trials by number."""
        return tuple(self.record.trials[number] for number in sorted(self.record.trials))

    @property
    def baselines(self) -> dict[str, dict[str, Any]]:
        """Baseline name to its ``config`` and ``metrics``."""
        return self.record.baselines

    @property
    def sessions(self) -> tuple[dict[str, Any], ...]:
        """One row per command that worked on the run: opened, and closed where it was."""
        return tuple(self.record.sessions)

    @property
    def counts(self) -> dict[str, int]:
        """Trials by state, cached trials, and epochs."""
        return self.record.counts()

    @property
    def planned(self) -> int:
        """Total number of trials that the latest command asked for."""
        return self.record.planned or int(self.identity["search"]["search"].get("trials", 0))

    def trial(self, number: int) -> TrialView:
        """Trial ``number``.

        Raises:
            UsageError: there is no such trial.
        """
        try:
            return self.record.trials[number]
        except KeyError:
            last = max(self.record.trials, default=0)
            raise UsageError(
                f"{self.name}: no trial {number}; the run has trials 1 to {last}.",
                hint=f"List them: recsearch status {self.path}",
            ) from None

    def best(self, metric: str | None = None) -> tuple[TrialView, EpochRow] | None:
        """The best (trial, epoch) by the objective or by ``metric``, None before the first."""
        return self.record.best(None if metric is None else parse(metric))

    def front(self) -> list[tuple[TrialView, EpochRow]]:
        """The epochs that no other one beats by every objective; with one, the best epoch."""
        return self.record.front()

    def trial_best(self, trial: TrialView, metric: str | None = None) -> EpochRow | None:
        """The best epoch of one trial by the objective or by ``metric``."""
        return self.record.best_of(trial, None if metric is None else parse(metric))


def read_identity(paths: RunPaths) -> dict[str, Any] | None:
    """The identity of the run in a folder, None where there is none.

    Raises:
        RecsearchError: ``run.json`` is damaged or of a newer format.
    """
    try:
        identity = json.loads(paths.identity.read_text(encoding="utf-8"))
        fmt = identity["format"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise RecsearchError(
            f"{paths.identity}: not a readable run identity ({err}); nothing was changed.",
            hint="Start beside it: the same command with --fresh (the old folder is moved aside).",
        ) from err
    if fmt != FORMAT:
        raise RecsearchError(
            f"{paths.identity}: format {fmt}, but this recsearch reads format {FORMAT}.",
            hint="Use the recsearch that wrote the run, or the same command with --fresh.",
        )
    return dict(identity)


def check_identity(paths: RunPaths, asked: Mapping[str, Any]) -> bool:
    """Whether the folder already holds this very run; False where it holds none.

    Raises:
        IdentityError: it holds another run; names every differing field. Nothing is touched.
    """
    found = read_identity(paths)
    if found is None:
        return False
    differences = [line for name in IDENTITY_FIELDS for line in _differences(name, found, asked)]
    if differences:
        raise IdentityError(
            f"{paths.root}: this folder holds another run; nothing was changed. Differing:\n"
            + "\n".join(f"  {line}" for line in differences),
            hint="Continue it with the options it was started with, choose another folder with "
            "--run DIR, or add --fresh to move it aside and start anew.",
        )
    return True


@contextlib.contextmanager
def locked(paths: RunPaths) -> Iterator[None]:
    """Hold the run folder for this process; made if absent, and gone again if still empty.

    Raises:
        RunLockedError: another live process holds it.
        RecsearchError: the folder cannot be made or written.
    """
    try:
        absent = not paths.root.exists()
        paths.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(paths.lock, timeout=0)
        lock.acquire()
    except Timeout:
        holder = _holder(paths)
        raise RunLockedError(
            f"{paths.root}: another process works on this run{holder}.",
            hint=f"Watch it with: recsearch status {paths.root} - or choose another folder with "
            "--run DIR.",
        ) from None
    except OSError as err:
        raise RecsearchError(
            f"{paths.root}: cannot use this run folder: {err.strerror}.",
            hint="Choose a writable folder with --run DIR.",
        ) from err
    try:
        yield
    finally:
        if absent:
            # A search that was refused has written nothing, and leaves nothing.
            with contextlib.suppress(OSError):
                paths.root.rmdir()
        lock.release()


def move_aside(paths: RunPaths) -> Path | None:
    """Move a run folder's content to the next free ``<name>.old-N`` beside it; None if empty."""
    if not paths.identity.exists() and not paths.journal.exists():
        return None
    number = 1
    while (target := paths.root.with_name(f"{paths.root.name}.old-{number}")).exists():
        number += 1
    paths.root.rename(target)
    paths.root.mkdir()
    return target


def _holder(paths: RunPaths) -> str:
    try:
        opened = [e for e in read_events(paths.journal) if e["event"] in ("opened", "closed")]
    except RecsearchError:
        return ""
    if not opened or opened[-1]["event"] == "closed":
        return ""  # a command that opens no session, such as final
    host = "" if opened[-1]["host"] == socket.gethostname() else f" on {opened[-1]['host']}"
    return f" (process {opened[-1]['pid']}{host}, since {opened[-1]['time']})"


def _differences(name: str, found: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    before, now = _dig(found, name), _dig(asked, name)
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            if f"{name}.{key}" not in FREE_FIELDS:
                yield from _differences_in(f"{name}.{key}", before.get(key), now.get(key))
    else:
        yield from _differences_in(name, before, now)


def _differences_in(name: str, before: Any, now: Any) -> Iterator[str]:
    if canonical_json(before) != canonical_json(now):
        yield f"{name}: the run has {_show(before)}, the command has {_show(now)}"


def _show(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _dig(tree: Mapping[str, Any], dotted: str) -> Any:
    value: Any = tree
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
