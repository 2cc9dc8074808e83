"""Are the tests able to fail? Break the store in one place at a time, and see which test tells.

``python tests/store/mutations.py`` copies package and tests, applies one mutation after the other
and runs the test that must fail. It prints a table, and ends with 1 if a mutation survives or its
text is not there any more. Words on the command line choose mutations by their names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 300.0


class Mutation(NamedTuple):
    """One way to break the store.

    Attributes:
        name: What is left out or done wrongly.
        test: The test that must fail, as ``file::name`` below ``tests/store/test_store_``.
        edits: Old and new text; the old one occurs once in the package's store.
    """

    name: str
    test: str
    edits: Sequence[tuple[str, str]]


POWER = "crash.py::test_power_lost_at_every_system_call"
RACE = "races.py::test_a_writer_and_a_collector_overtake_each_other"
TRACK = "races.py::test_a_collection_between_any_two_operations_of_a_track"

MUTATIONS = (
    Mutation(
        "a file is not synced",
        POWER,
        [
            (
                "                file.flush()\n                os.fsync(file.fileno())",
                "                pass",
            )
        ],
    ),
    Mutation(
        "the directory of a new name is not synced",
        POWER,
        [("if durable and not taken:", "if False:")],
    ),
    Mutation(
        "the parent of a new directory is not synced",
        POWER,
        [
            (
                "if path != self.root or os.access(path.parent, os.R_OK):",
                "if path == self.root and os.access(path.parent, os.R_OK):",
            )
        ],
    ),
    Mutation(
        "the removal of a manifest is not synced",
        POWER,
        [("if name.startswith(Layout.CHECKPOINTS):", "if False:")],
    ),
    Mutation(
        "a name appears by a rename that replaces",
        "backend.py::TestLocalBackend::test_never_replaces",
        [("os.link(source, target)", "os.rename(source, target)")],
    ),
    Mutation(
        "a writer does not pin",
        RACE,
        [("lease = pin(self._backend, packs | stays | new)", "lease = pin(self._backend, set())")],
    ),
    Mutation(
        "a writer pins after it has looked",
        RACE,
        [
            ("lease = pin(self._backend, packs | stays | new)", "pass"),
            (
                "        for ulid in gone:\n            self._index.forget(ulid)\n",
                "        lease = pin(self._backend, packs | stays | new)\n"
                "        for ulid in gone:\n            self._index.forget(ulid)\n",
            ),
        ],
    ),
    Mutation(
        "a writer does not look for tombstones",
        RACE,
        [("return backend.head(Layout.tomb(pack)) is None and ", "return ")],
    ),
    Mutation(
        "a track pins only what it writes",
        TRACK,
        [("pin(self._backend, packs | stays | new)", "pin(self._backend, packs | new)")],
    ),
    Mutation(
        "what a difference is over is not pinned",
        "chains.py::test_what_a_difference_is_over_is_protected_until_the_commit",
        [("(b.behind if isinstance(b, Wanted) else b ", "(() if isinstance(b, Wanted) else b ")],
    ),
    Mutation(
        "a track gives up its pin before the next one",
        TRACK,
        [
            (
                "        try:\n            written = self._write(memory, copied",
                "        memory.release()\n"
                "        try:\n            written = self._write(memory, copied",
            )
        ],
    ),
    Mutation(
        "a track relies on a pin that has expired",
        "track.py::test_a_trainer_whose_pin_has_expired_relies_on_nothing",
        [("if memory.hold is not None and not memory.hold.lease.fresh:", "if False:")],
    ),
    Mutation(
        "a reader does not see that the checkpoint is still there",
        "races.py::test_a_reader_of_a_dropped_checkpoint_is_told_so",
        [
            (
                "if self._backend.head(manifest.ref) is not None:\n                break",
                "break",
            )
        ],
    ),
    Mutation(
        "a reader does not pin",
        "races.py::test_a_reader_of_a_dropped_checkpoint_is_told_so",
        [("lease = pin(self._backend, manifest.packs)", "lease = pin(self._backend, set())")],
    ),
    Mutation(
        "no grace period",
        "collect.py::test_grace_keeps_packs_for_readers_that_began_before",
        [
            (
                "        limit = time.time() - self._grace_s\n        if new:",
                "        limit = time.time()\n        if new:",
            )
        ],
    ),
    Mutation(
        "sweep without a second look",
        "races.py::test_a_save_between_any_two_operations_of_a_collection",
        [
            (
                "            needed = self._look()\n            self._each(self._unmark",
                "            self._each(self._unmark",
            )
        ],
    ),
    Mutation(
        "manifests are read before pins",
        RACE,
        [
            (
                "pinned = pinned_packs(self._backend)\n"
                "        self._catalog.refresh(self._check)\n",
                "self._catalog.refresh(self._check)\n"
                "        pinned = pinned_packs(self._backend)\n",
            ),
        ],
    ),
    Mutation(
        "two processes may collect",
        "collect.py::test_only_one_collects_at_a_time",
        [("if name == mine.name:", "if name:")],
    ),
    Mutation(
        "moved blobs bring a dropped checkpoint back",
        "races.py::test_anything_between_any_two_operations_of_a_repack",
        [
            (
                "        if source.backend.head(old.ref) is None:\n",
                "        if False:\n",
            )
        ],
    ),
    Mutation(
        "what is made from another array does not see whether that one is kept",
        "races.py::test_a_collection_between_any_two_operations_of_who_relies_on_a_checkpoint",
        [("if not safe or not is_kept(", "if not is_kept(")],
    ),
    Mutation(
        "stored bytes are not compared with their hash",
        "damage.py",
        [("if size != blob.stored or hash_bytes(data) != blob.check:", "if size != blob.stored:")],
    ),
    Mutation(
        "raw bytes are not compared with their name",
        "roundtrip.py::test_a_blob_that_is_not_what_its_name_says_is_refused",
        [("if hash_bytes(raw.data) != top.name:", "if False:")],
    ),
    Mutation(
        "frames are not compared with their hash",
        "damage.py",
        [("if hash_bytes(body) != data[-HASH_BYTES:]:", "if False:")],
    ),
    Mutation(
        "blobs of a chain need not be over each other",
        "chains.py::test_an_extrapolated_block_is_reused_only_over_the_blocks_it_was_told_from",
        [("    return all(found) and all(b.over for b in chain[:-1])", "    return True")],
    ),
    Mutation(
        "patched blocks are taken for their blobs",
        "chains.py::test_what_a_block_extrapolates_from_is_what_was_stored",
        [('[b"" if d else name for d, name in zip(dirty', "[name for d, name in zip(dirty")],
    ),
    Mutation(
        "one patch too many is left out of a block",
        "series.py::test_a_block_is_written_anew_when_half_of_its_rows_change",
        [("since[ids // entry.block_rows] <= number", "since[ids // entry.block_rows] < number")],
    ),
    Mutation(
        "of overlapping patches the older wins",
        "patch.py::test_the_newest_of_many_overlapping_patches_wins",
        [("in enumerate(entry.patches):", "in [*enumerate(entry.patches)][::-1]:")],
    ),
    Mutation(
        "equal differences of other dtypes are one patch",
        "patch.py::test_equal_differences_of_integers_and_floats_are_told_apart",
        [('(dtype.str if codec == ROWS_DELTA else "")', '""')],
    ),
    Mutation(
        "nobody looks for rows that were not handed in",
        "series.py::test_a_change_that_was_not_handed_in_is_found",
        [("        if len(wrong):\n", "        if False:\n")],
    ),
    Mutation(
        "no block is ever rebased",
        "series.py::test_the_law_of_rebasing",
        [("anew[number] = True", "anew[number] = False")],
    ),
    Mutation(
        "numbers too small to be normal are extrapolated",
        "codec.py::test_threads_that_flush_subnormals_and_those_that_do_not_agree",
        [("0.0 if dtype.itemsize == 2 else info.tiny * 2.0 ** (info.nmant + 16)", "0.0")],
    ),
    Mutation(
        "what follows a state that was not written is told as its change",
        "track.py::test_what_follows_a_failed_save_restores_exactly",
        [("            memory.series.clear()\n            memory.lost = True", "            pass")],
    ),
)


class Outcome(NamedTuple):
    """What became of one mutation: the test that failed, or why there is none."""

    mutation: Mutation
    caught: bool
    said: str


def try_one(mutation: Mutation) -> Outcome:
    """Apply a mutation to a copy and run its test."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("recsearch", "tests/store"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        for old, new in mutation.edits:
            sources = list((copy / "recsearch" / "store").glob("*.py"))
            hits = [path for path in sources if old in path.read_text()]
            if len(hits) != 1 or hits[0].read_text().count(old) != 1:
                return Outcome(mutation, False, f"not there once: {old.strip()!r}")
            hits[0].write_text(hits[0].read_text().replace(old, new))
        return _run(mutation, copy)


def _run(mutation: Mutation, copy: Path) -> Outcome:
    test = f"tests/store/test_store_{mutation.test}"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", test]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return Outcome(mutation, True, f"{mutation.test} does not end")
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode == 1 and failed:
        return Outcome(mutation, True, failed[0].removeprefix("tests/store/"))
    last = (done.stdout.strip() or done.stderr.strip()).splitlines()[-1:]
    return Outcome(mutation, False, f"SURVIVED {mutation.test} ({done.returncode}: {last})")


def main(words: Sequence[str]) -> int:
    """Try the mutations whose names contain one of the words, or all."""
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    survived = 0
    with ThreadPoolExecutor(2) as pool:
        for outcome in pool.map(try_one, chosen):
            survived += not outcome.caught
            sys.stdout.write(f"| {outcome.mutation.name} | {outcome.said} |\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - survived} of {len(chosen)} mutations were caught\n")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
