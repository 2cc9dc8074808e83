"""This store, through the calls that a training loop makes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmarks.store.protocol import Strategy
from benchmarks.store.trace import Tables, Touched, Trace
from recsearch.state import Part, State
from recsearch.store import Store
from recsearch.store.staged import Staged
from recsearch.store.track import Codec, Track

KEY = "ab" * 32
RHO = 1.0
"""What :meth:`Store.track` takes by default."""


class Ours(Strategy):
    """A track of its own for each trainer; version ``v`` is epoch ``v + 1``."""

    codec: ClassVar[Codec] = "fast"
    told: ClassVar[bool] = True

    def __init__(self, folder: Path, trace: Trace):
        super().__init__(folder, trace)
        self.store = Store.open(folder)
        self._track: Track | None = None
        self._staged: tuple[int, Staged] | None = None

    def save(self, version: int, tables: Tables, touched: Touched) -> None:
        """See :meth:`Strategy.save`."""
        if self._track is None:
            self._track = self.store.track(codec=self.codec, rho=RHO)
        # Who changes all rows does not list them.
        told = self.told and self.trace.share < 1
        state = self.state(tables, touched if told else {})
        self._staged = version, self._track.stage(state)

    def wait(self, *, behind: bool = False) -> None:
        """See :meth:`Strategy.wait`."""
        if self._staged is not None:
            (version, staged), self._staged = self._staged, None
            staged.commit(KEY, version + 1, {})
        if behind:
            # Rebases run on the saver's one thread, after what they follow.
            self.store._writer().run(lambda: None).result()

    def restore(self, version: int, into: Tables) -> None:
        """See :meth:`Strategy.restore`."""
        state = self.state(into, {})
        self.store.restore(KEY, version + 1, into=state)

    def close(self) -> None:
        """See :meth:`Strategy.close`."""
        if self._track is not None:
            self._track.close()
        self.store.close()

    def state(self, tables: Tables, touched: Touched) -> State:
        """The tables as the parts of a checkpoint: what changes, and what never does."""
        constant = self.trace.constant
        changing = {name: table for name, table in tables.items() if name not in constant}
        parts = {"tables": Part(changing, touched=dict(touched))}
        if constant:
            parts["constant"] = Part({name: tables[name] for name in constant}, constant=True)
        return parts


class OursSmall(Ours):
    """The smallest of several lossless encodings."""

    codec = "small"


class OursUntold(Ours):
    """Without row numbers: changes are found by comparing."""

    told = False
