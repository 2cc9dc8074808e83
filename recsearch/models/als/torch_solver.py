"""Exact half-epochs of alternating least squares in float32 on a GPU, by PyTorch.

The equations and their two forms are those of `recsearch.models.als.solver`. Rows of similar length
are padded to one width and solved together: a batched product, a batched Cholesky factorisation,
two triangular solutions. TF32, which would shorten the factors of products to 10 bits, is off.

Ratings stay on the device, vectors come and go: each half-epoch's are in the state that is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

from recsearch.errors import RecsearchError
from recsearch.models.als.rows import Batch, SparseRows, batches
from recsearch.models.als.solver import RidgeSolver

Tensor: TypeAlias = torch.Tensor

MOST_ROWS = 1 << 15
"""Rows of a batch at most: batched routines number theirs in 16 bits in places."""

MOST_FLOATS = 1 << 28
"""Gathered floats of a batch at most, 1 GiB."""

BYTES_OF_FLOAT = 512
"""Bytes of a device's memory for each gathered float of a batch. One takes 16 bytes at most, with
its part of the equations, their factor and workspace: so a trial takes a 32nd of the memory and its
ratings."""

HOST_FLOATS = 1 << 22
"""Gathered floats of a batch on the CPU, where the tests run."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """A `Batch` on the device: rows int64, columns int32, all others float32."""

    rows: Tensor
    counts: Tensor
    columns: Tensor
    targets: Tensor
    scales: Tensor | None


class TorchRidgeSolver:
    """Solves all rows of one side; built once for a training set and an embedding size.

    Results are the same to the bit on one kind of device with one PyTorch.

    Args:
        rows: the entries; rows without any get the zero vector, as LensKit gives them.
        size: embedding size d.
        device: ``cuda``, or whatever else PyTorch has float64 on.
    """

    def __init__(self, rows: SparseRows, size: int, device: str):
        self.rows = rows
        self.size = size
        self.device = torch.device(device)
        self._double = RidgeSolver(rows, size, gram=False)
        with self._memory():
            self._counts = self._put(rows.layout.counts.astype(np.float32))
            self._order = self._put(rows.layout.order)
            grouped = batches(rows, size, _batch_floats(self.device))
            self._batches = [part for batch in grouped for part in self._parts(batch)]

    def solve(self, other: np.ndarray, reg: float, *, per_entry: bool) -> np.ndarray:
        """The new vectors of all rows; see `RidgeSolver.solve`.

        Raises:
            RecsearchError: the equations of a row are singular even in float64, or the device's
                memory is full.
        """
        with self._memory(), _full_precision():
            return _taken(self._solve(self._put(other), reg, per_entry=per_entry))

    def solve_on_background(self, other: np.ndarray, reg: float, factor: float) -> np.ndarray:
        """The new vectors of all rows of ImplicitMF; see `recsearch.models.als.implicit`.

        Args:
            other: ``(n_columns, d)`` float32 vectors of the other side.
            reg: regularization λ.
            factor: what all of them are multiplied with beside the scales of the rows.

        Returns:
            ``(n_rows, d)`` float32, newly allocated.

        Raises:
            RecsearchError: the background matrix is singular, or the device's memory is full.
        """
        with self._memory(), _full_precision():
            V = self._put(other).to(torch.float64)
            gram = V.T @ V
            gram.diagonal().add_(reg)
            lower, info = torch.linalg.cholesky_ex(gram)
            if int(info) != 0:
                raise RecsearchError(
                    f"als-implicit: the background matrix is singular at regularization {reg:g}: "
                    "increase the regularization."
                )
            whitened = torch.linalg.solve_triangular(lower, V.T, upper=False).T * factor
            z = self._solve(whitened.to(torch.float32).contiguous(), 1.0, per_entry=False)
            solved = torch.linalg.solve_triangular(lower.T, z.T.to(torch.float64), upper=True)
            return _taken(solved.T.to(torch.float32).contiguous())

    def _solve(self, other: Tensor, reg: float, *, per_entry: bool) -> Tensor:
        layout = self.rows.layout
        regs = torch.full((layout.n_rows,), reg, dtype=torch.float32, device=self.device)
        if per_entry:
            regs *= self._counts
        padded = other.new_zeros((layout.n_columns + 1, self.size))
        padded[:-1] = other.index_select(0, self._order)
        out = other.new_zeros((layout.n_rows, self.size))
        failed = torch.zeros(layout.n_rows, dtype=torch.bool, device=self.device)
        for part in self._batches:
            solved, info = _solve_batch(part, padded, regs.index_select(0, part.rows))
            out.index_copy_(0, part.rows, solved)
            wrong = (info != 0) | ~torch.isfinite(solved).all(dim=1)
            failed.index_copy_(0, part.rows, wrong)
        # The only wait for the device.
        again = torch.nonzero(failed)[:, 0].tolist()
        if again:
            vectors, each = _taken(other), regs.tolist()
            rows = [self._double._solve_double(vectors, row, each[row]) for row in again]
            out[torch.tensor(again, dtype=torch.int64, device=self.device)] = self._put(
                np.stack(rows)
            )
        return out

    def _parts(self, batch: Batch) -> Iterator[_Rows]:
        for first in range(0, len(batch.rows), MOST_ROWS):
            some = slice(first, first + MOST_ROWS)
            yield _Rows(
                rows=self._put(batch.rows[some]),
                counts=self._put(batch.counts[some]),
                columns=self._put(batch.columns[some]),
                targets=self._put(batch.targets[some]),
                scales=None if batch.scales is None else self._put(batch.scales[some]),
            )

    def _put(self, array: np.ndarray) -> Tensor:
        # Arrays of a state are read-only, which torch.from_numpy would warn of.
        return torch.tensor(array, device=self.device)

    @contextmanager
    def _memory(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as err:
            raise RecsearchError(
                f"ALS: the memory of {self.device} is full: {err}",
                hint="Run the trial again with fewer at a time: the same command with "
                "--workers 1 --retry-errors.",
            ) from err


def _solve_batch(part: _Rows, padded: Tensor, regs: Tensor) -> tuple[Tensor, Tensor]:
    """Solutions (b, d) of a batch, and for each row 0 where its factorisation succeeded."""
    length, width = part.columns.shape
    size = padded.shape[1]
    M = padded.index_select(0, part.columns.reshape(-1).to(torch.int64)).view(length, width, size)
    if part.scales is not None:
        M *= part.scales[:, :, None]
    y = part.targets[:, :, None]
    if width < size:
        K = torch.bmm(M, M.transpose(1, 2))
        # What pads the equations becomes the identity, and its targets are 0.
        line = torch.arange(width, device=K.device)
        padding = line[None, :] >= part.counts[:, None]
        K.diagonal(dim1=1, dim2=2).add_(torch.where(padding, 1.0, regs[:, None]))
        factor, info = torch.linalg.cholesky_ex(K)
        solved = torch.bmm(M.transpose(1, 2), torch.cholesky_solve(y, factor))
    else:
        K = torch.bmm(M.transpose(1, 2), M)
        K.diagonal(dim1=1, dim2=2).add_(regs[:, None])
        factor, info = torch.linalg.cholesky_ex(K)
        solved = torch.cholesky_solve(torch.bmm(M.transpose(1, 2), y), factor)
    return solved[:, :, 0], info


def _taken(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.cpu().numpy()
    return array


def _batch_floats(device: torch.device) -> int:
    """Gathered floats of a batch: by all of the device's memory, since bits depend on batches."""
    if device.type != "cuda":
        return HOST_FLOATS
    total = int(torch.cuda.get_device_properties(device).total_memory)
    return min(MOST_FLOATS, total // BYTES_OF_FLOAT)


@contextmanager
def _full_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
