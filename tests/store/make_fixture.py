"""The small store of this format version that is committed as ``fixtures/format-2``.

``python tests/store/make_fixture.py FOLDER`` writes it anew, which is only right while no release
has written that version. Every value is a function of key and epoch, by integer arithmetic alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

import numpy as np

from recsearch.state import Part
from recsearch.store import Store, manifest

SMALL, FAST = "12" * 32, "34" * 32
"""Keys of two trials: one stored with the smallest codecs, one with bytes as they are."""
EPOCHS = 5
BLOCK_BYTES = 512
ITEMS, USERS = ("dense", "items"), ("dense", "users")


def mixed(count: int, seed: int) -> np.ndarray:
    """Numbers below 2**32 without a pattern (a multiplicative hash)."""
    numbers = np.arange(count, dtype=np.uint64) * 2654435761 + seed * 40503 + 1
    return (numbers ^ (numbers >> np.uint64(13))) * 2246822519 % 2**32


def sparse(rows: int, epoch: int) -> np.ndarray:
    """A float32 table; each epoch sets three rows."""
    table = (mixed(rows * 8, 1).astype(np.int64) % 2**20 / 2**16).astype("<f4").reshape(rows, 8)
    for number in range(2, epoch + 1):
        for row in (number * 7 % rows, number * 13 % rows, rows - 1):
            table[row] += np.float32(number / 8)
    return table


def items(epoch: int) -> np.ndarray:
    """Points on straight lines, which can be extrapolated."""
    start, speed = mixed(400, 2).astype(np.int64) % 2**22, mixed(400, 3).astype(np.int64) % 2**11
    return (1 + (start + epoch * speed) / 2**23).astype("<f4").reshape(50, 8)


def users_from(array: np.ndarray) -> np.ndarray:
    """What the model would compute."""
    return np.ascontiguousarray(array[::-1] * np.float32(2))


def kinds(epoch: int) -> dict[str, np.ndarray]:
    """One array of every dtype, and of no rows, no columns and no dimensions."""
    arrays = {
        np.dtype(name).str.strip("<|"): (mixed(6, epoch) % 100).astype(name).reshape(3, 2)
        for name in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "?")
    }
    special = [np.nan, np.inf, -np.inf, -0.0, 5e-324, epoch]
    return arrays | {
        "special": np.array(special, "<f8"),
        "text": np.array(["", "bé", "\U0001f600", str(epoch)], "<U4"),
        "noise": mixed(64, epoch).astype("<u4"),
        "empty": np.empty((0, 3), "<f4"),
        "thin": np.empty((4, 0), "<i8"),
        "scalar": np.array(epoch, "<i8"),
    }


def known_state(key: str, epoch: int) -> dict[str, Part]:
    """What a checkpoint of the fixture restores to."""
    dense = {"items": items(epoch), "users": users_from(items(epoch - 1))}
    vocabulary = {"ids": np.arange(50), "titles": np.array(["a", "bé", "\U0001f600"])}
    return {
        "dense": Part(dense if key == SMALL else {"items": items(1)}, {"big": 2**127 + epoch}),
        "sparse": Part({"table": sparse(80, epoch)}),
        "kinds": Part(kinds(epoch)),
        "vocabulary": Part(vocabulary, constant=True),
    }


def known_info(key: str, epoch: int) -> dict[str, object]:
    """What its manifest says about it."""
    return {"epoch": epoch, "owner": "old/" + key[:2], "metrics": {"RMSE": 1 / epoch}, "π": None}


def write(root: Path) -> None:
    """Write the store."""
    with mock.patch.object(manifest, "BLOCK_BYTES", BLOCK_BYTES), Store.open(root) as store:
        for key, codec in ((SMALL, "small"), (FAST, "fast")):
            with store.track(codec=codec, rho=0.2) as track:
                for epoch in range(1, EPOCHS + 1):
                    state = known_state(key, epoch)
                    store.save(key, epoch, state, known_info(key, epoch), track=track)
        store.adopt(SMALL, 2, {"owner": "pin:good", "retention": "all"})
        assert store.thin(SMALL, 3, USERS, (2, *ITEMS)) == 1
        store.collect(grace_s=0)
        store.collect(grace_s=0)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
