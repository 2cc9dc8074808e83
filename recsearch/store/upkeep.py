"""Keeping a store small and sound: collecting, measuring, verifying, repairing."""

from __future__ import annotations

from collections.abc import Sequence

from recsearch.store.anatomy import freed_by
from recsearch.store.collect import Collected, Collector
from recsearch.store.manifest import Manifest
from recsearch.store.reading import Reading
from recsearch.store.repair import Repair, RepairReport
from recsearch.store.survey import Level
from recsearch.store.usage import Usage, measure
from recsearch.store.verify import VerifyReport, verify


class Upkeep(Reading):
    """What looks after all of a store at once."""

    def collect(
        self, *, grace_s: float = 600, dry_run: bool = False, max_waste: float = 0.1
    ) -> Collected:
        """Delete the packs that no checkpoint and no unfinished save needs.

        A pack is first marked, and deleted by a later collection when it has been marked for
        ``grace_s`` seconds and is still not needed. Packs that are needed for little of what they
        hold are rewritten first, so that they can go.

        Args:
            grace_s: How long a marked pack stays, for readers that began before it was marked.
            dry_run: Change nothing; say what would be done.
            max_waste: Unneeded bytes in needed packs, relative to the needed ones, that are let be.

        Raises:
            StoreError: another process is collecting.
            StoreDamagedError: a manifest is unreadable; nothing is deleted then.
        """
        with self._catalog_lock:
            collector = Collector(
                self._source, self._catalog, grace_s, dry_run=dry_run, max_waste=max_waste
            )
            return collector.run()

    def du(self) -> Usage:
        """Bytes held, by trial and in all."""
        with self._catalog_lock:
            return measure(self._source, self._catalog)

    def freed_by(self, manifests: Sequence[Manifest]) -> int:
        """Stored bytes that no other manifest needs: what dropping these would free in time."""
        with self._catalog_lock:
            return freed_by(self._catalog, manifests)

    def verify(
        self, level: Level = "data", *, sample: float = 1.0, seed: int | None = None
    ) -> VerifyReport:
        """Look for damage.

        Args:
            level: ``structure`` reads manifests and tables, and sees that everything referred to
                is there; ``data`` also compares all stored bytes with their hashes; ``restore``
                also decodes every array.
            sample: Share of the blobs to read at level ``data``, more than 0, at most 1.
            seed: Decides which blobs are in the sample; random by default, and reported.

        Raises:
            UsageError: there is no such level or share.
        """
        return verify(self._backend, level, sample, seed)

    def repair(self, *, dry_run: bool = False, leases: bool = False) -> RepairReport:
        """Mend what can be mended, and set the rest aside under ``lost/``; nothing is deleted.

        Others may read and write meanwhile, but not collect.

        Args:
            dry_run: Look, but change nothing.
            leases: Also set aside leases that cannot be read and that live processes may hold. Only
                while no search is using the store.

        Raises:
            StoreError: a collection is at work, or something cannot be read for another reason
                than damage. Nothing was changed then.
        """
        return Repair(self._backend, dry_run=dry_run, leases=leases).run()
