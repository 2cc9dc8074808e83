r"""Exact half-epochs of alternating least squares in float32 on one BLAS thread.

For every row with matrix :math:`M` (the other side's vectors that its entries select, one per
line) and targets :math:`y` it solves the ridge regression

.. math:: (M^T M + \lambda_r I)\, x = M^T y

in the smaller of its two equal forms: as written, d×d, or for rows with fewer entries than d as
:math:`x = M^T (M M^T + \lambda_r I)^{-1} y`, n×n, which is also better conditioned in float32.

* Below `BATCHED_BELOW` dimensions, rows of similar length go through stacked BLAS and LAPACK calls
  together; per-row calls would cost more than the arithmetic.
* From there on each row is one ``ssyrk`` and one ``sposv`` on reused, aligned buffers.

Both give the same bits in every process of a machine: the order of the operations is fixed by the
rows alone. ``benchmarks/bench_als_solvers.py`` has the measurements behind the choice.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import threadpoolctl
from scipy.linalg.blas import ssyrk
from scipy.linalg.lapack import sposv

from recsearch.errors import RecsearchError
from recsearch.models.als.rows import Batch, SparseRows, batches

BATCHED_BELOW = 48
"""Embedding size from which rows are solved one by one: on MovieLens 1M both ways take equally long
at 48, stacked calls 1.3 times less at 32, single rows 1.4 times less at 128."""

_ALIGNMENT = 64


class RidgeSolver:
    """Solves all rows of one side; built once for a training set and an embedding size.

    Args:
        rows: the entries; rows without any get the zero vector, as LensKit gives them.
        size: embedding size d.
        batched: whether to solve rows of similar length together; by size if None.
    """

    def __init__(self, rows: SparseRows, size: int, *, batched: bool | None = None):
        self.rows = rows
        self.size = size
        self._batches: list[Batch] | None = None
        if size < BATCHED_BELOW if batched is None else batched:
            self._batches = list(batches(rows, size))
        else:
            longest = int(rows.counts.max(initial=0))
            self._gathered = aligned_empty(longest * size).reshape(longest, size)
            self._square = aligned_empty(size * size)
            self._bounds = rows.indptr.tolist()

    def solve(self, other: np.ndarray, reg: float, *, per_entry: bool) -> np.ndarray:
        """The new vectors of all rows.

        Args:
            other: ``(n_columns, d)`` float32 vectors of the other side.
            reg: regularization λ.
            per_entry: whether λ counts once for each entry of a row (weighted-λ regularization,
                Zhou et al. 2008) or once.

        Returns:
            ``(n_rows, d)`` float32, newly allocated.

        Raises:
            RecsearchError: the equations of a row are singular even in float64.
        """
        counts = self.rows.counts
        regs = np.full(self.rows.n_rows, np.float32(reg), dtype=np.float32)
        if per_entry:
            regs *= counts.astype(np.float32)
        out = np.zeros((self.rows.n_rows, self.size), dtype=np.float32)
        with one_blas_thread():
            if self._batches is not None:
                self._solve_batches(self._batches, other, regs, out)
            else:
                self._solve_rows(other, regs, out)
        return out

    def _solve_batches(
        self, groups: list[Batch], other: np.ndarray, regs: np.ndarray, out: np.ndarray
    ) -> None:
        padded = np.concatenate([other, np.zeros((1, self.size), dtype=np.float32)])
        for batch in groups:
            M = padded.take(batch.columns, axis=0)
            if batch.scales is not None:
                M *= batch.scales[:, :, None]
            try:
                out[batch.rows] = _solve_stack(M, batch.targets, regs[batch.rows])
            except np.linalg.LinAlgError:
                for row in batch.rows.tolist():
                    out[row] = self._solve_double(other, row, float(regs[row]))

    def _solve_rows(self, other: np.ndarray, regs: np.ndarray, out: np.ndarray) -> None:
        bounds, columns, targets = self._bounds, self.rows.columns, self.rows.targets
        scales, gathered, square, d = self.rows.scales, self._gathered, self._square, self.size
        for row, reg in enumerate(regs.tolist()):
            start, stop = bounds[row], bounds[row + 1]
            n = stop - start
            if n == 0:
                continue
            M = gathered[:n]
            other.take(columns[start:stop], axis=0, out=M, mode="clip")
            if scales is not None:
                M *= scales[start:stop, None]
            dual = n < d
            k = n if dual else d
            flat = square[: k * k]
            # BLAS counts by column: the transposes below are the same memory, not copies.
            K = ssyrk(1.0, M.T, c=flat.reshape(k, k).T, trans=int(dual), lower=1, overwrite_c=1)
            flat[:: k + 1] += reg
            y = targets[start:stop]
            _, x, info = sposv(K, y if dual else y @ M, lower=1, overwrite_a=1)
            if info == 0:
                out[row] = x @ M if dual else x
            else:
                out[row] = self._solve_double(other, row, reg)

    def _solve_double(self, other: np.ndarray, row: int, reg: float) -> np.ndarray:
        """One row in float64, where float32 is not enough to factorise its equations."""
        entries = slice(self.rows.indptr[row], self.rows.indptr[row + 1])
        M = other[self.rows.columns[entries]].astype(np.float64)
        if self.rows.scales is not None:
            M *= self.rows.scales[entries, None]
        y = self.rows.targets[entries].astype(np.float64)
        try:
            if len(M) < self.size:
                x = np.linalg.solve(M @ M.T + reg * np.eye(len(M)), y) @ M
            else:
                x = np.linalg.solve(M.T @ M + reg * np.eye(self.size), y @ M)
        except np.linalg.LinAlgError as err:
            raise RecsearchError(
                f"ALS: the equations of row {row} ({len(M)} entries, {self.size} dimensions) are "
                f"singular at regularization {reg:g}: increase the regularization."
            ) from err
        return x.astype(np.float32)


def _solve_stack(M: np.ndarray, y: np.ndarray, regs: np.ndarray) -> np.ndarray:
    """Ridge solutions of a stack: ``M`` (b, n, d), ``y`` (b, n), ``regs`` (b,) → (b, d)."""
    _, n, d = M.shape
    Mt = M.transpose(0, 2, 1)
    if n < d:
        K = np.matmul(M, Mt)
        diagonal = np.arange(n)
        K[:, diagonal, diagonal] += regs[:, None]
        dual = np.linalg.solve(K, y[:, :, None])
        return np.matmul(Mt, dual)[:, :, 0]
    G = np.matmul(Mt, M)
    diagonal = np.arange(d)
    G[:, diagonal, diagonal] += regs[:, None]
    return np.linalg.solve(G, np.matmul(Mt, y[:, :, None]))[:, :, 0]


def aligned_empty(size: int) -> np.ndarray:
    """Uninitialised float32 vector at a cache-line boundary, so that kernels see equal layouts."""
    raw = np.empty(size * 4 + _ALIGNMENT, dtype=np.uint8)
    skip = -raw.ctypes.data % _ALIGNMENT
    return raw[skip : skip + size * 4].view(np.float32)


def one_blas_thread() -> threadpoolctl.threadpool_limits:
    """Context in which BLAS uses one thread: the number of threads can change the last bits."""
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController()
