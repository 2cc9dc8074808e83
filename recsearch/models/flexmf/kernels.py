"""Compiled: gradients of dot products, added to the rows of users and items as PyTorch adds them.

Importing this module imports numba and compiles, or loads what an earlier process compiled.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from recsearch.compiled import compiled, read, written

# As plain values, because their stubs do not know that they are called in compiled code.
float32: Any = numba.float32
int32: Any = numba.int32
void: Any = numba.void


SIGNATURE = void(
    read(float32, 2), read(int32), read(int32, 2), read(float32, 2), written(float32, 2)
)


@compiled(SIGNATURE)
def add_to_items(
    grads: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    user_vectors: np.ndarray,
    item_grads: np.ndarray,
) -> None:
    """Add the gradients of item vectors, one after the other.

    Args:
        grads: (n, m) of the dot products.
        users: (n,) rows of ``user_vectors``.
        items: (n, m) rows of ``item_grads``.
        user_vectors: (n_users, d).
        item_grads: (n_items, d), changed.
    """
    for row in range(len(users)):
        user = user_vectors[users[row]]
        for column in range(items.shape[1]):
            grad, item_grad = grads[row, column], item_grads[items[row, column]]
            for k in range(len(user)):
                item_grad[k] += grad * user[k]


@compiled(SIGNATURE)
def add_to_users(
    grads: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    item_vectors: np.ndarray,
    user_grads: np.ndarray,
) -> None:
    """Add the gradients of user vectors, each the sum over the items of its sample, left to right.

    Args:
        grads: (n, m) of the dot products.
        users: (n,) rows of ``user_grads``.
        items: (n, m) rows of ``item_vectors``.
        item_vectors: (n_items, d).
        user_grads: (n_users, d), changed.
    """
    total = np.empty(item_vectors.shape[1], dtype=np.float32)
    for row in range(len(users)):
        for column in range(items.shape[1]):
            grad, item = grads[row, column], item_vectors[items[row, column]]
            if column == 0:
                for k in range(len(item)):
                    total[k] = grad * item[k]
            else:
                for k in range(len(item)):
                    total[k] += grad * item[k]
        user_grad = user_grads[users[row]]
        for k in range(len(total)):
            user_grad[k] += total[k]
