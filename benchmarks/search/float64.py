"""BiasedMF in float64: who is right where two float32 trainers differ."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from benchmarks.search.configurations import SEED
from recsearch.data import Split
from recsearch.identity import derive_seed


def float64_curve(split: Split, config: dict[str, Any], epochs: int) -> list[float]:
    """RMSE by epoch in float64 from the same initial factors.

    The normal equations of every row, solved by numpy, and nothing clever.
    """
    from recsearch.evaluation import evaluate
    from recsearch.models import resolve

    family = resolve("als")
    complete = family.complete({**config, "user_embeddings": "prefer"})
    state = family.create(complete, split, derive_seed(SEED, "init")).state()
    biases = state["biases"].tensors
    offset, item_bias = float(biases["global"][0]), biases["item_bias"].astype(float)
    user_bias, Q = biases["user_bias"].astype(float), state["model"].tensors["item_embeddings"]
    users = np.repeat(np.arange(split.n_users), np.diff(split.train.indptr))
    residuals = split.train.values - offset - item_bias[split.train.items] - user_bias[users]
    matrix = csr_array((residuals, (users, split.train.items)), (split.n_users, split.n_items))
    curve, items = [], Q.astype(float)
    for _ in range(epochs):
        P = solve_rows(matrix, items, config["regularization"]["user"])
        items = solve_rows(matrix.T.tocsr(), P, config["regularization"]["item"])

        def scores(rows: Any, columns: Any = None, P: Any = P, items: Any = items) -> Any:
            block = offset + user_bias[rows][:, None] + item_bias + P[rows] @ items.T
            return block if columns is None else block[:, columns]

        curve.append(evaluate(scores, split, ["RMSE"])["RMSE"])
    return curve


def solve_rows(matrix: csr_array, other: np.ndarray, reg: float) -> np.ndarray:
    """One half-epoch of weighted-lambda ALS (Zhou et al. 2008) in float64.

    Args:
        matrix: (rows, columns) residuals.
        other: (columns, size) factors of the other side.
        reg: multiplied by the number of a row's entries.

    Returns:
        (rows, size) factors; rows without entries are 0.
    """
    found = np.zeros((matrix.shape[0], other.shape[1]))
    for row in range(matrix.shape[0]):
        begin, end = matrix.indptr[row : row + 2]
        if begin < end:
            M = other[matrix.indices[begin:end]]
            A = M.T @ M + reg * (end - begin) * np.eye(M.shape[1])
            found[row] = np.linalg.solve(A, M.T @ matrix.data[begin:end])
    return found
