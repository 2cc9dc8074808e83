"""The damped user-item bias model, number for number as LensKit learns it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from recsearch.data import Interactions


def learn_bias(
    train: Interactions, n_items: int, damping_user: float, damping_item: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Learn ``r(u, i) = global + item(i) + user(u)``.

    The global bias is the mean rating, an item's the damped mean of what its ratings exceed that
    by, a user's the damped mean of what remains. Arithmetic and precision follow
    ``lenskit.basic.bias.BiasModel.learn`` (2025.8.1): float32 ratings and biases, float64 sums.

    Args:
        train: training ratings of all users.
        n_items: size of the item vocabulary.
        damping_user: mean ratings that each user is given in advance.
        damping_item: the same for items.

    Returns:
        Global bias, item biases (n_items,) float32 and user biases (n_users,) float32. Items and
        users without ratings have bias 0.
    """
    n_users = len(train.indptr) - 1
    ratings = train.values.astype(np.float32, copy=False)
    mean = float(np.mean(ratings)) if len(ratings) else 0.0
    centred = ratings - np.float32(mean)
    item = _damped_means(train.items, centred, n_items, damping_item)
    centred = centred - item[train.items]
    users = np.repeat(np.arange(n_users), np.diff(train.indptr))
    return mean, item, _damped_means(users, centred, n_users, damping_user)


def _damped_means(
    groups: np.ndarray, values: np.ndarray, n_groups: int, damping: float
) -> np.ndarray:
    counts = np.bincount(groups, minlength=n_groups) + damping
    sums = np.bincount(groups, weights=values, minlength=n_groups)
    means = np.zeros(n_groups, dtype=np.float32)
    # `where` and `out` as in LensKit: groups without ratings or damping stay 0.
    np.divide(sums, counts, out=means, where=counts > 0, casting="same_kind")
    return means
