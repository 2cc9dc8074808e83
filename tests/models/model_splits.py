"""Small splits by hand, with the awkward rows in them."""

from __future__ import annotations

import numpy as np

from recsearch.data import Interactions, Source, Split

SOURCE = Source(
    name="made",
    title="made for a test",
    origin="generated",
    sha256=None,
    official=None,
    generated=True,
    notes=(),
)


def make_split(
    n_users: int = 70, n_items: int = 50, seed: int = 0, *, string_ids: bool = False
) -> Split:
    """Ratings of rank 2 plus noise. User 0 rated every item, user 1 none, user 2 one; the last
    item has no rating. Every fourth user has three more ratings held out.
    """
    rng = np.random.default_rng(seed)
    taste = rng.standard_normal((n_users, 2)) @ rng.standard_normal((2, n_items))
    ratings = np.clip(np.round(2 * (3.3 + taste * 0.8)) / 2, 0.5, 5).astype(np.float32)
    train, heldout, eval_users = [], [], []
    for user in range(n_users):
        length = {0: n_items - 1, 1: 0, 2: 1}.get(user, int(rng.integers(4, n_items - 4)))
        items = rng.permutation(n_items - 1)
        train.append(np.sort(items[:length]))
        if user % 4 == 3:
            eval_users.append(user)
            heldout.append(np.sort(items[length : length + 3]))
    titles = None if string_ids else np.array([f"Item {n}" for n in range(n_items)])
    return Split(
        source=SOURCE,
        dataset_id="0" * 64,
        split_id="1" * 64,
        method={"method": "by hand"},
        part=0,
        user_ids=_ids("u", n_users, string_ids),
        item_ids=_ids("i", n_items, string_ids),
        titles=titles,
        train=_interactions(train, ratings),
        eval_users=np.array(eval_users, dtype=np.int32),
        heldout=_interactions(heldout, ratings[eval_users]),
    )


def _ids(prefix: str, count: int, strings: bool) -> np.ndarray:
    if strings:
        return np.array([f"{prefix}{n:04}" for n in range(count)])
    return np.arange(count, dtype=np.int64) * 3 + 10


def _interactions(rows: list[np.ndarray], ratings: np.ndarray) -> Interactions:
    lengths = np.array([len(row) for row in rows])
    items = np.concatenate(rows).astype(np.int32)
    return Interactions(
        indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        items=items,
        values=ratings[np.repeat(np.arange(len(rows)), lengths), items],
        times=None,
    )
