r"""Exact half-epochs of alternating least squares in float32 on one thread.

For every row with matrix :math:`M` (the other side's vectors that its entries select, one per
line) and targets :math:`y` it solves the ridge regression

.. math:: (M^T M + \lambda_r I)\, x = M^T y

in the smaller of its two equal forms: as written, d×d, or for rows with fewer entries than d as
:math:`x = M^T (M M^T + \lambda_r I)^{-1} y`, n×n, which is also better conditioned in float32.

The numbers of :math:`M M^T` are products of two vectors of the other side, and rows share them:
where there are few vectors, all products are computed once, in one matrix product, and looked up.

The bits are the same in every process of a machine: the order of the operations is fixed by the
rows alone. ``benchmarks/als`` has the measurements behind the choices.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import threadpoolctl
from scipy.linalg.blas import ssyrk

from recsearch.errors import RecsearchError
from recsearch.models.als.rows import SparseRows

GRAM_BYTES = 256 << 20
"""The products of all vectors are computed together only if they take at most this much memory."""

GRAM_GAIN = 2
"""A product that is looked up costs about half of one that is computed, so on average each must be
used this often."""

_ALIGNMENT = 64


class RidgeSolver:
    """Solves all rows of one side; built once for a training set and an embedding size.

    Args:
        rows: the entries; rows without any get the zero vector, as LensKit gives them.
        size: embedding size d.
        gram: whether to compute the products of all vectors of the other side once and look them
            up; where that saves arithmetic if None.
    """

    def __init__(self, rows: SparseRows, size: int, *, gram: bool | None = None):
        self.rows = rows
        self.size = size
        self.gram = _gram_pays(rows, size) if gram is None else gram

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
        # Imported here: numba takes a second, which commands that train nothing need not wait.
        from recsearch.models.als.kernels import solve_rows, work_floats
        from recsearch.models.als.tiles import LANES

        rows, layout, size = self.rows, self.rows.layout, self.size
        regs = np.full(layout.n_rows, np.float32(reg), dtype=np.float32)
        if per_entry:
            regs *= layout.counts.astype(np.float32)
        width = -(-size // LANES) * LANES
        padded = aligned_empty(layout.n_columns * width).reshape(-1, width)
        padded[:, :size] = other[layout.order]
        padded[:, size:] = 0
        out = np.zeros((layout.n_rows, size), dtype=np.float32)
        failed = np.zeros(layout.n_rows, dtype=bool)
        solve_rows(
            layout.indptr,
            layout.columns,
            rows.targets,
            np.empty(0, np.float32) if rows.scales is None else rows.scales,
            padded.reshape(-1),
            _products(padded) if self.gram else np.empty((0, 0), np.float32),
            regs,
            size,
            aligned_empty(work_floats(size)),
            out,
            failed,
        )
        for row in np.flatnonzero(failed).tolist():
            out[row] = self._solve_double(other, row, float(regs[row]))
        return out

    def _solve_double(self, other: np.ndarray, row: int, reg: float) -> np.ndarray:
        """One row in float64, where float32 is not enough to factorise its equations."""
        layout = self.rows.layout
        entries = slice(layout.indptr[row], layout.indptr[row + 1])
        M = other[layout.order[layout.columns[entries]]].astype(np.float64)
        if self.rows.scales is not None:
            M *= self.rows.scales[entries, None]
        y = self.rows.targets[entries].astype(np.float64)
        try:
            with one_blas_thread():
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


def _gram_pays(rows: SparseRows, size: int) -> bool:
    """Whether looking up products takes less time than computing those of all dual rows."""
    counts, products = rows.layout.counts, rows.layout.n_columns**2
    if 4 * products > GRAM_BYTES:
        return False
    looked_up = np.square(counts[counts < size]).sum()
    return bool(looked_up > GRAM_GAIN * products)


def _products(vectors: np.ndarray) -> np.ndarray:
    """Products of all pairs of lines; only the upper triangle is computed."""
    # BLAS counts by column: both transposes are the same memory, not copies.
    with one_blas_thread():
        products: np.ndarray = ssyrk(1.0, vectors.T, trans=1, lower=1).T
    return products


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
