"""How commands name checkpoints: by key, by run folder, or by pin."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from recsearch.cli.options import program, run_path
from recsearch.errors import CheckpointNotFoundError, UsageError
from recsearch.folds import check_fold

if TYPE_CHECKING:
    from recsearch.run import RunView
    from recsearch.store import Manifest, Store

MIN_PREFIX = 6
METAVAR = "CHECKPOINT"
HELP = """

    \b
    CHECKPOINT is KEY[:EPOCH] or RUN[:TRIAL[.FOLD][:EPOCH]] or pin:NAME
      KEY    a trial key, or at least its first 6 characters
      RUN    a run folder, or its name below runs/
      EPOCH  a number, best or last; by default last for a KEY, best for a RUN
    Without TRIAL it is the best trial of the run, without FOLD its fold 0.
    """

checkpoint_store_option = click.option(
    "--store",
    "store_url",
    envvar="RECSEARCH_STORE",
    help="Checkpoint store: a folder or URL.  [default: the one of RUN, else store]",
)


class Address(NamedTuple):
    """What a checkpoint is called on the command line, taken apart."""

    run: Path | None
    key: str
    trial: int | None
    epoch: str | None
    fold: int | None = None


@dataclass(frozen=True)
class Found:
    """A checkpoint that exists, or did when it was looked up.

    Attributes:
        store: Where it is.
        key: Its trial key.
        epoch: Its epoch.
        choice: ``best`` or ``last`` where that was asked for or is the default, else empty.
        trial: Run and trial number where it was named by these.
    """

    store: Store
    key: str
    epoch: int
    choice: str = ""
    trial: str = ""

    @property
    def label(self) -> str:
        """Its name for people: key and epoch, how it was chosen, whose it is."""
        notes = ", ".join(note for note in (self.choice, self.trial) if note)
        return f"{self.key[:12]}:{self.epoch}" + (f" ({notes})" if notes else "")


def open_store(url: str | None) -> Store:
    """A store that exists.

    Raises:
        StoreError: there is none.
    """
    from recsearch.store import Store

    return Store.open(url or "store", create=False)


def suggest(command: str, url: str | None) -> str:
    """A command of this group as the user can type it, for the same store."""
    default = url is None or ("://" not in url and Path(url).resolve() == Path("store").resolve())
    where = "" if default else f" --store {shlex.quote(str(url))}"
    return f"{program()} store {command}{where}"


def find(text: str, store_url: str | None) -> Found:
    """The checkpoint that a command names.

    Raises:
        UsageError: the name is none, or ambiguous.
        CheckpointNotFoundError: there is no such checkpoint.
    """
    if text.startswith("pin:"):
        return _find_pin(text.removeprefix("pin:"), open_store(store_url))
    address = parse(text)
    if address.run is None:
        store = open_store(store_url)
        return _in_trial(store, find_key(store, address.key), address.epoch or "last")
    from recsearch.run import RunView

    return _in_run(RunView.open(address.run), address, store_url)


def parse(text: str) -> Address:
    """Take the name of a checkpoint apart; a run folder that exists takes precedence.

    Raises:
        UsageError: trial or epoch are none.
    """
    for cut in range(min(3, text.count(":") + 1)):
        name, *rest = text.rsplit(":", cut) if cut else [text]
        folder = run_path(Path(name))
        if (folder / "run.json").exists():
            trial, epoch = (*rest, None, None)[:2]
            number, fold = _trial(trial)
            return Address(folder, "", number, _epoch(epoch), fold)
    key, _, epoch = text.partition(":")
    if re.fullmatch("[0-9a-fA-F]+", key) is None:
        raise UsageError(
            f"{text!r} is neither a run folder nor the beginning of a trial key",
            hint="recsearch store ls",
        )
    return Address(None, key.lower(), None, _epoch(epoch or None))


def find_key(store: Store, prefix: str) -> str:
    """The trial key that begins so.

    Raises:
        UsageError: several do, or the prefix is too short.
        CheckpointNotFoundError: none does.
    """
    if len(prefix) < MIN_PREFIX:
        raise UsageError(f"{prefix!r} is too short for a key: type {MIN_PREFIX} characters or more")
    keys = store.keys()
    found = [key for key in keys if key.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointNotFoundError(
            f"no trial in {store.url} has a key that begins with {prefix}",
            hint="recsearch store ls",
        )
    some = ", ".join(key[: len(prefix) + 4] for key in found[:4])
    raise UsageError(f"{len(found)} keys begin with {prefix}: type more characters ({some}, ...)")


def objective_of(info: dict[str, Any]) -> tuple[str | None, str, float | None]:
    """Name, direction and value of the objective that is recorded with a checkpoint.

    ``info["direction"]`` counts for metrics that recsearch does not know.
    """
    from recsearch.evaluation import parse as parse_metric

    name, metrics = info.get("objective"), info.get("metrics")
    if not isinstance(name, str) or not isinstance(metrics, dict):
        return None, "", None
    direction = info.get("direction")
    if direction not in ("min", "max"):
        try:
            direction = parse_metric(name).direction
        except UsageError:
            return None, "", None
    value = metrics.get(name)
    return name, direction, value if isinstance(value, int | float) else None


def _trial(text: str | None) -> tuple[int | None, int | None]:
    """Number of the trial, and its fold: ``7`` or ``7.1``."""
    if text is None:
        return None, None
    number, dot, fold = text.partition(".")
    if not number.isdecimal() or (dot and not fold.isdecimal()):
        raise UsageError(
            f"{text!r} is not the number of a trial: expected RUN:TRIAL:EPOCH, or "
            "RUN:TRIAL.FOLD:EPOCH such as runs/als-ml1m:7.1:best"
        )
    return int(number), int(fold) if dot else None


def _epoch(text: str | None) -> str | None:
    if text is None or text in ("best", "last") or (text.isdecimal() and int(text) > 0):
        return text
    raise UsageError(f"{text!r} is not an epoch: expected a number, best or last")


def _find_pin(name: str, store: Store) -> Found:
    manifest = store.pins().get(name)
    if manifest is None:
        raise CheckpointNotFoundError(
            f"nothing in {store.url} is pinned as {name!r}", hint="recsearch store ls --pins"
        )
    return Found(store, manifest.key, manifest.epoch, f"pin {name}")


def _in_trial(store: Store, key: str, epoch: str) -> Found:
    if epoch == "best":
        return Found(store, key, _best(store, key), "best")
    manifest = store.read(key, None if epoch == "last" else int(epoch))
    return Found(store, key, manifest.epoch, "last" if epoch == "last" else "")


def _best(store: Store, key: str) -> int:
    from recsearch.store import BestAndLast, Record

    found: dict[int, Manifest] = {}
    for manifest in store.manifests(key):
        found.setdefault(manifest.epoch, manifest)
    values = {epoch: objective_of(manifest.info) for epoch, manifest in found.items()}
    for name, direction, _ in reversed(values.values()):
        if name is not None:
            records = [Record(e, value) for e, (_, _, value) in values.items()]
            best = BestAndLast("min" if direction == "min" else "max", last=0).keep(records)
            if best:
                return best.pop()
    raise CheckpointNotFoundError(
        f"no checkpoint of {key[:12]} in {store.url} has an objective recorded with it, so that "
        "none of them is best",
        hint="Name the epoch, or last.",
    )


def _in_run(view: RunView, address: Address, store_url: str | None) -> Found:
    if address.trial is None:
        found = view.best()
        trial = None if found is None else found[0]
    else:
        trial = view.trial(address.trial)
    row = None if trial is None else view.trial_best(trial)
    if trial is None or row is None:
        raise CheckpointNotFoundError(
            f"{view.name}: no epoch has finished yet"
            + (f" in trial {address.trial}" if address.trial is not None else ""),
            hint=f"See how far it is: recsearch status {view.path}",
        )
    choice = address.epoch or "best"
    epochs = {"best": row.epoch, "last": trial.epochs[-1].epoch}
    epoch = epochs[choice] if choice in epochs else int(choice)
    fold = address.fold or 0
    check_fold(fold, view.identity, "fold")
    store = open_store(store_url or view.store_url)
    key = trial.fold_keys[fold]
    store.read(key, epoch)
    name = f"{view.name} trial {trial.number}"
    if trial.keys:
        name += f" fold {fold}"
    return Found(store, key, epoch, choice if choice in epochs else "", name)
