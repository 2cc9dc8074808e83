"""The checkpoint store: one object that the rest of the program talks to."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from recsearch.errors import StoreError
from recsearch.state import Json, State
from recsearch.store.backend import Backend, open_backend
from recsearch.store.format import check_format
from recsearch.store.keeping import Keeping
from recsearch.store.layout import Layout
from recsearch.store.manifest import Manifest
from recsearch.store.quarantine import quarantine
from recsearch.store.saver import Saver
from recsearch.store.staged import Saved, Staged
from recsearch.store.track import Codec, Track
from recsearch.store.upkeep import Upkeep


class Store(Keeping, Upkeep):
    """Checkpoints of all trials of all runs, addressed by trial key and epoch.

    Any number of processes may read, write and collect one store at once. Opening is cheap:
    each process opens its own; a store cannot be pickled, and after a fork the child works with
    a saver thread of its own.

    Attributes:
        url: Where the store is.
    """

    def __init__(self, backend: Backend):
        super().__init__(backend)
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
        check_format(backend, create)
        return cls(backend)

    def track(
        self,
        *,
        codec: Codec = "auto",
        rho: float = 1.0,
        whole: Collection[str] | None = (),
        after: Manifest | None = None,
    ) -> Track:
        """Save the successive states of one trainer, each as what has changed.

        Args:
            codec: ``fast`` stores bytes as they are; ``small`` takes the smallest of several
                lossless encodings, differences to the state before among them; ``auto`` is
                ``fast`` on local disk and ``small`` elsewhere.
            rho: Bytes of row patches to read in restoring, relative to the array's own. Storage
                grows by (1 + 1/rho) times the changed rows.
            whole: Parts of which no array is stored as a difference to the state before, None for
                all: a difference keeps what it is over, so only for epochs that mostly stay.
            after: The stored checkpoint that the trainer has been restored from; its arrays are
                read once more to tell the changes. Ignored if it has been dropped since.
        """
        return self._track(
            codec, rho, whole=None if whole is None else frozenset(whole), after=after
        )

    def stage(self, state: State) -> Staged:
        """Stage a single state; see :meth:`Track.stage`."""
        return self._track("auto", 1.0, once=True).stage(state)

    def save(
        self,
        key: str,
        epoch: int,
        state: State,
        info: dict[str, Json],
        *,
        track: Track | None = None,
    ) -> Saved:
        """Stage and commit; see :meth:`Track.stage` and :meth:`Staged.commit`."""
        Layout.manifest(key, epoch, "")
        staged = (track or self).stage(state)
        try:
            return staged.commit(key, epoch, info)
        except Exception:
            staged.abandon()
            raise

    def quarantine(self, key: str, epoch: int) -> list[str]:
        """Set aside the manifests of one epoch that do not restore, so that it can be saved again.

        Saving it does not build on the damaged blobs: those of other checkpoints are read first.

        Returns:
            The new names of the manifests, under ``lost/``; none if the epoch restores.

        Raises:
            StoreError: a manifest cannot be read for another reason than damage.
        """
        found = quarantine(self._backend, key, epoch)
        if found and self._saver is not None:
            self._writer().distrust()
        return found

    def bytes_of_packs(self) -> int | None:
        """Bytes of all packs, a moment's work; None where they are not on this machine.

        Raises:
            StoreError: they cannot be listed.
        """
        if not _on_this_machine(self.url):
            return None
        return sum(entry.size for entry in self._backend.list(Layout.PACKS))

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
            self._saver, self._saver_pid = Saver(self._source), os.getpid()
        return self._saver

    def _track(
        self,
        codec: Codec,
        rho: float,
        *,
        whole: frozenset[str] | None = frozenset(),
        once: bool = False,
        after: Manifest | None = None,
    ) -> Track:
        self._writer()
        small = codec == "small" or (codec == "auto" and not _on_this_machine(self.url))
        return Track(
            self._source, self._writer, small=small, whole=whole, rho=rho, once=once, after=after
        )


def _on_this_machine(url: str) -> bool:
    return "://" not in url or url.startswith(("file://", "memory://"))
