"""Other ways to solve the ridge regressions of all rows, each in place of our solver.

All take the cheaper of the two forms and give the same numbers up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.linalg.blas import ssyrk
from scipy.linalg.lapack import sposv

from recsearch.models.als.rows import SparseRows, batches
from recsearch.models.als.solver import RidgeSolver, aligned_empty, one_blas_thread
from recsearch.models.als.torch_solver import TorchRidgeSolver

STACK_FLOATS = 1 << 19
"""Gathered floats of a stack, 2 MiB, so that they stay in the cache."""


class ByRow(RidgeSolver):
    """One row after the other: ``ssyrk`` and ``sposv``, on buffers that are used again."""

    def __init__(self, rows: SparseRows, size: int):
        super().__init__(rows, size, gram=False)
        longest = int(rows.layout.counts.max(initial=0))
        self._gathered = aligned_empty(longest * size).reshape(longest, size)
        self._square = aligned_empty(size * size)
        self._bounds = rows.layout.indptr.tolist()

    def solve(self, other: np.ndarray, reg: float, *, per_entry: bool) -> np.ndarray:
        """See `RidgeSolver.solve`."""
        vectors = other[self.rows.layout.order]
        regs = regularization(self.rows, reg, per_entry=per_entry)
        out = np.zeros((len(regs), self.size), dtype=np.float32)
        with one_blas_thread():
            for row, each in enumerate(regs.tolist()):
                if self._bounds[row] < self._bounds[row + 1]:
                    self._solve_row(row, each, vectors, out)
        return out

    def _solve_row(self, row: int, reg: float, vectors: np.ndarray, out: np.ndarray) -> None:
        entries = slice(self._bounds[row], self._bounds[row + 1])
        n, scales = entries.stop - entries.start, self.rows.scales
        M = self._gathered[:n]
        vectors.take(self.rows.layout.columns[entries], axis=0, out=M, mode="clip")
        if scales is not None:
            M *= scales[entries, None]
        dual = n < self.size
        k = n if dual else self.size
        flat = self._square[: k * k]
        # BLAS counts by column: the transposes below are the same memory, not copies.
        K = ssyrk(1.0, M.T, c=flat.reshape(k, k).T, trans=int(dual), lower=1, overwrite_c=1)
        flat[:: k + 1] += reg
        y = self.rows.targets[entries]
        _, x, info = sposv(K, y if dual else y @ M, lower=1, overwrite_a=1)
        if info:
            raise ArithmeticError(f"row {row} is not positive definite in float32")
        out[row] = x @ M if dual else x


class Stacked(RidgeSolver):
    """Rows of similar length together, in numpy's stacked products and solutions."""

    def __init__(self, rows: SparseRows, size: int):
        super().__init__(rows, size, gram=False)
        self._batches = list(batches(rows, size, STACK_FLOATS))

    def solve(self, other: np.ndarray, reg: float, *, per_entry: bool) -> np.ndarray:
        """See `RidgeSolver.solve`."""
        nothing = np.zeros((1, self.size), dtype=np.float32)
        vectors = np.concatenate([other[self.rows.layout.order], nothing])
        regs = regularization(self.rows, reg, per_entry=per_entry)
        out = np.zeros((len(regs), self.size), dtype=np.float32)
        with one_blas_thread():
            for batch in self._batches:
                M = vectors.take(batch.columns, axis=0)
                if batch.scales is not None:
                    M *= batch.scales[:, :, None]
                out[batch.rows] = solve_stack(M, batch.targets, regs[batch.rows])
        return out


def solve_stack(M: np.ndarray, y: np.ndarray, regs: np.ndarray) -> np.ndarray:
    """Ridge solutions of a stack: ``M`` (b, n, d), ``y`` (b, n), ``regs`` (b,) → (b, d)."""
    _, n, d = M.shape
    Mt = M.transpose(0, 2, 1)
    diagonal = np.arange(min(n, d))
    K = np.matmul(M, Mt) if n < d else np.matmul(Mt, M)
    K[:, diagonal, diagonal] += regs[:, None]
    right = y[:, :, None] if n < d else np.matmul(Mt, y[:, :, None])
    solved: np.ndarray = np.linalg.solve(K, right)
    return (np.matmul(Mt, solved) if n < d else solved)[:, :, 0]


def regularization(rows: SparseRows, reg: float, *, per_entry: bool) -> np.ndarray:
    """λ of every row, (n_rows,) float32."""
    regs = np.full(rows.layout.n_rows, reg, dtype=np.float32)
    return regs * rows.layout.counts.astype(np.float32) if per_entry else regs


Way = Callable[[SparseRows, int], RidgeSolver | TorchRidgeSolver]

WAYS: Mapping[str, Way] = {
    "by row, BLAS": ByRow,
    "stacked, numpy": Stacked,
    "batched, torch": lambda rows, size: TorchRidgeSolver(rows, size, "cpu"),
    "tiles, products computed": lambda rows, size: RidgeSolver(rows, size, gram=False),
    "tiles, products looked up": lambda rows, size: RidgeSolver(rows, size, gram=True),
}
"""What is measured beside LensKit and the solver that a search takes."""
