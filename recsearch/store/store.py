"""The checkpoint store: one object that the rest of the program talks to."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from recsearch.errors import CheckpointNotFoundError, StoreDamagedError, StoreError
from recsearch.state import Json, Part, State
from recsearch.store.adopt import adopt
from recsearch.store.backend import Backend, open_backend
from recsearch.store.collect import Collected, Collector
from recsearch.store.layout import Layout, ManifestName
from recsearch.store.manifest import Manifest, read_manifest
from recsearch.store.reader import (
    advise,
    first_of_each_epoch,
    manifest_names,
    nearest_intact,
    restore_state,
)
from recsearch.store.retention import All, Policy, Record
from recsearch.store.saver import Saver
from recsearch.store.staged import Saved, Staged
from recsearch.store.usage import Usage, measure
from recsearch.store.verify import Verifier, VerifyReport

RACES = 5
"""How often a manifest may vanish between listing and reading before that is the answer."""

_FORMAT = {"format": "recsearch-store", "version": 1, "hash": "blake3-256"}


class Store:
    """Checkpoints of all trials of all runs, addressed by trial key and epoch.

    Any number of processes may read, write and collect one store at once. Opening is cheap:
    each process opens its own; a store cannot be pickled, and after a fork the child works with
    a saver thread of its own.

    Attributes:
        url: Where the store is.
    """

    def __init__(self, backend: Backend):
        self.url = backend.url
        self._backend = backend
        self._saver: Saver | None = None
        self._saver_pid = 0
        self._closed = False

    @classmethod
    def open(cls, url: str | Path, *, create: bool = True) -> Store:
        """Open the store at a path, ``file://PATH`` or ``memory://NAME``.

        Args:
            url: Where it is.
            create: Make a new one where there is none.

        Raises:
            StoreError: there is no store and ``create`` is false, or what is there is not one,
                or is of a newer format.
        """
        return cls.on(open_backend(url), create=create)

    @classmethod
    def on(cls, backend: Backend, *, create: bool = True) -> Store:
        """Open the store on a backend; see :meth:`open`."""
        _check_format(backend, create)
        return cls(backend)

    def stage(self, state: State) -> Staged:
        """Copy a state and start writing it in the background.

        Blocks only for the copy, or while too many bytes wait to be written.

        Raises:
            StoreError: an array or value of the state cannot be stored.
        """
        future, size = self._writer().submit(state)
        return Staged(self._backend, future, size)

    def save(self, key: str, epoch: int, state: State, info: dict[str, Json]) -> Saved:
        """Stage and commit; see :meth:`stage` and :meth:`Staged.commit`."""
        Layout.manifest(key, epoch, "")
        staged = self.stage(state)
        try:
            return staged.commit(key, epoch, info)
        except Exception:
            staged.abandon()
            raise

    def keys(self) -> list[str]:
        """The trial keys with at least one checkpoint, sorted."""
        names = (Layout.parse_manifest(e.name) for e in self._backend.list(Layout.CHECKPOINTS))
        return sorted({name.key for name in names if name is not None})

    def epochs(self, key: str) -> list[int]:
        """The committed epochs of one trial, sorted; empty for an unknown key."""
        return list(self._names(key))

    def read(self, key: str, epoch: int | None = None) -> Manifest:
        """Everything about one checkpoint but its arrays. None means the last epoch.

        Raises:
            CheckpointNotFoundError: there is none; the message lists what there is.
            StoreDamagedError: its manifest is damaged.
        """
        for _ in range(RACES):
            names = self._names(key)
            wanted = max(names, default=None) if epoch is None else epoch
            if wanted is None or wanted not in names:
                break
            try:
                return read_manifest(self._backend, names[wanted])
            except FileNotFoundError:
                continue  # dropped since it was listed; another epoch or owner may be there
            except StoreDamagedError as error:
                nearest = nearest_intact(self._backend, key, wanted)
                raise StoreDamagedError(
                    f"{error.message}. {advise(nearest)}", hint="recsearch store verify"
                ) from error
        raise self._not_found(key, epoch, self._names(key))

    def adopt(self, key: str, epoch: int, info: dict[str, Json]) -> str:
        """Keep a checkpoint of another owner; see `recsearch.store.adopt.adopt`."""
        return adopt(self._backend, self.read(key, epoch), info)

    def restore(self, key: str, epoch: int, parts: Sequence[str] | None = None) -> dict[str, Part]:
        """The state of one checkpoint, or the named parts of it, verified bit for bit.

        The arrays are new and writable.

        Raises:
            CheckpointNotFoundError: there is no such checkpoint or part.
            StoreDamagedError: naming the damaged blob and the nearest intact epoch.
        """
        return restore_state(self._backend, self.read(key, epoch), parts)

    def retain(
        self,
        key: str,
        policy: Policy,
        records: Sequence[Record],
        *,
        owner: str | None = None,
    ) -> list[int]:
        """Drop the checkpoints among ``records`` that ``policy`` does not keep.

        Epochs without a record stay. So do checkpoints whose own ``info["retention"]`` is
        ``"all"``. The bytes are freed by :meth:`collect`.

        Args:
            key: Trial key.
            policy: What to keep.
            records: The epochs that the policy judges.
            owner: Drop only checkpoints whose ``info["owner"]`` is this one.

        Returns:
            The dropped epochs, sorted.
        """
        if isinstance(policy, All):
            return []
        drop = {record.epoch for record in records} - policy.keep(records)
        dropped = set()
        for name in manifest_names(self._backend, key):
            if name.epoch in drop and self._may_drop(name, owner):
                self._backend.delete(name.ref)
                dropped.add(name.epoch)
        return sorted(dropped)

    def collect(self, *, grace_s: float = 600, dry_run: bool = False) -> Collected:
        """Delete the packs that no checkpoint and no unfinished save needs.

        A pack is first marked, and deleted by a later collection when it has been marked for
        ``grace_s`` seconds and is still not needed.

        Raises:
            StoreError: another process is collecting.
            StoreDamagedError: a manifest is unreadable; nothing is deleted then.
        """
        return Collector(self._backend, grace_s, dry_run=dry_run).run()

    def verify(self, *, data: bool = True) -> VerifyReport:
        """Check all references and, with ``data``, the hash of every stored byte."""
        return Verifier(self._backend, data=data).run()

    def du(self) -> Usage:
        """Bytes held, by trial and in all."""
        return measure(self._backend)

    def close(self) -> None:
        """Wait for what is being written, and end the saver thread."""
        self._closed = True
        if self._saver is not None and self._saver_pid == os.getpid():
            self._saver.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Store cannot be pickled: send its url and call Store.open(url) in each process"
        )

    def _writer(self) -> Saver:
        if self._closed:
            raise StoreError(f"the store {self.url} has been closed")
        # Threads do not survive a fork, so a child makes its own saver.
        if self._saver is None or self._saver_pid != os.getpid():
            self._saver, self._saver_pid = Saver(self._backend), os.getpid()
        return self._saver

    def _names(self, key: str) -> dict[int, ManifestName]:
        names = first_of_each_epoch(manifest_names(self._backend, key))
        return dict(sorted(names.items()))

    def _may_drop(self, name: ManifestName, owner: str | None) -> bool:
        try:
            info = read_manifest(self._backend, name).info
        except (FileNotFoundError, StoreDamagedError):
            return False  # what is damaged is reported by verify, not deleted
        return info.get("retention") != "all" and owner in (None, info.get("owner"))

    def _not_found(
        self, key: str, epoch: int | None, names: dict[int, ManifestName]
    ) -> CheckpointNotFoundError:
        wanted = f"{key[:12]}:{epoch}" if epoch is not None else f"{key[:12]}"
        there = (
            f"stored epochs of this trial: {_ranges(sorted(names))}"
            if names
            else f"this trial has none; {len(self.keys())} other trials have some"
        )
        return CheckpointNotFoundError(
            f"there is no checkpoint {wanted} in {self.url}; {there}", hint="recsearch store ls"
        )


def _ranges(numbers: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(str(n) for n in run) for run in runs)


def _check_format(backend: Backend, create: bool) -> None:
    try:
        text = backend.get(Layout.FORMAT)
    except FileNotFoundError:
        if not create:
            raise StoreError(
                f"there is no store at {backend.url}",
                hint="Name one with --store or RECSEARCH_STORE.",
            ) from None
        text = _create_format(backend)
    try:
        found = json.loads(text)
        same = all(found[name] == value for name, value in _FORMAT.items())
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise StoreError(
            f"{backend.url}/{Layout.FORMAT} does not describe a store of format "
            f"{_FORMAT['version']}; another version of recsearch wrote it, or it is damaged"
        )


def _create_format(backend: Backend) -> bytes:
    foreign = [e.name for e in backend.list("") if not e.name.startswith(Layout.PARTIAL)]
    if foreign and backend.head(Layout.FORMAT) is None:
        raise StoreError(
            f"{backend.url} is not empty (it holds {foreign[0]}) and has no {Layout.FORMAT} file; "
            "a new store needs a directory of its own"
        )
    text = json.dumps(_FORMAT | {"uuid": str(uuid.uuid4())}).encode() + b"\n"
    try:
        backend.put_create(Layout.FORMAT, [text])
    except FileExistsError:
        return backend.get(Layout.FORMAT)
    return text
