r"""Compiled: the ridge regressions of all rows of one side.

A symmetric matrix is kept as *panels*: panel i holds its `LANES` lines from line ``LANES * i``,
column after column. So one column of a panel is one vector register, and a panel's next `LANES`
columns are a tile. The gathered vectors are packed in the same form. Then the two costly steps,
:math:`K = M^T M` and the Cholesky factorisation, are the same operation, tile += panel · panelᵀ,
which runs at the processor's full rate without further copies; BLAS and LAPACK reach a third of
that at the sizes of embeddings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from recsearch.compiled import compiled, inlined, read, written
from recsearch.models.als.tiles import (
    LANES,
    add_product,
    add_scaled,
    copy_scaled,
    eliminate,
    factor,
    substitute_back,
    subtract_product,
)

TILES = "76d9ed1eb6a74b80"
"""BLAKE2 digest of ``tiles.py``, whose instructions are part of what is compiled here."""

DEPTH = 256
"""Vectors packed at a time, so that two packed panels stay in the first-level cache."""


@inlined()
def _factor_and_solve(panels: Any, count: int, inverse: Any, x: Any) -> bool:
    """Replace ``count`` panels by their Cholesky factor and x by the solution."""
    stride = count * LANES * LANES
    for j in range(count):
        column = j * LANES * LANES
        diagonal = j * stride + column
        for i in range(j, count):
            subtract_product(
                panels, i * stride + column, panels, i * stride, panels, j * stride, j * LANES
            )
        if not factor(panels, diagonal, inverse, j * LANES, x, j * LANES):
            return False
        for i in range(j + 1, count):
            tile = i * stride + column
            eliminate(
                panels, tile, panels, diagonal, inverse, j * LANES, x, j * LANES, x, i * LANES
            )
    for j in range(count - 1, -1, -1):
        diagonal = j * (stride + LANES * LANES)
        substitute_back(panels, diagonal, x, j * LANES, inverse, j * LANES, count - 1 - j, stride)
    return True


@inlined()
def _add_products(panels: Any, count: int, packed: Any, depth: int) -> None:
    for i in range(count):
        for j in range(i + 1):
            add_product(
                panels,
                (i * count + j) * LANES * LANES,
                packed,
                i * DEPTH * LANES,
                packed,
                j * DEPTH * LANES,
                depth,
            )


@inlined()
def _primal(
    panels: Any,
    count: int,
    packed: Any,
    x: Any,
    columns: Any,
    targets: Any,
    scales: Any,
    other: Any,
) -> None:
    """Add: panels += Mᵀ M, x += Mᵀ y."""
    width = count * LANES
    for first in range(0, len(columns), DEPTH):
        depth = min(DEPTH, len(columns) - first)
        for step in range(depth):
            entry = first + step
            scale = scales[entry] if len(scales) > 0 else np.float32(1)
            target = targets[entry] * scale
            vector = np.int64(columns[entry]) * width
            for i in range(count):
                to = (i * DEPTH + step) * LANES
                copy_scaled(packed, to, scale, other, vector + i * LANES)
                add_scaled(x, i * LANES, target, other, vector + i * LANES)
        _add_products(panels, count, packed, depth)


@inlined()
def _dual(
    panels: Any, count: int, packed: Any, columns: Any, scales: Any, other: Any, width: int
) -> None:
    """Add: panels += M Mᵀ."""
    for first in range(0, width, DEPTH):
        depth = min(DEPTH, width - first)
        for line in range(count * LANES):
            to = line // LANES * DEPTH * LANES + line % LANES
            if line < len(columns):
                scale = scales[line] if len(scales) > 0 else np.float32(1)
                vector = np.int64(columns[line]) * width + first
                for step in range(depth):
                    packed[to + step * LANES] = scale * other[vector + step]
            else:
                for step in range(depth):
                    packed[to + step * LANES] = 0
        _add_products(panels, count, packed, depth)


@inlined()
def _dual_from_gram(panels: Any, count: int, columns: Any, scales: Any, gram: Any) -> None:
    """Copy: panels := M Mᵀ, whose numbers the Gram matrix of all vectors has.

    Its upper triangle suffices, as ``columns`` ascend.
    """
    n = len(columns)
    for k in range(n):
        products = gram[columns[k]]
        for i in range(k // LANES, count):
            to = (i * count * LANES + k) * LANES
            first = i * LANES
            for line in range(first, min(first + LANES, n)):
                panels[to + line - first] = products[columns[line]]
            if len(scales) > 0:
                for line in range(first, min(first + LANES, n)):
                    panels[to + line - first] *= scales[k] * scales[line]


@inlined()
def _combine(total: Any, width: int, weights: Any, columns: Any, scales: Any, other: Any) -> None:
    """Compute total := Mᵀ weights."""
    total[:width] = 0
    for line in range(len(columns)):
        weight = weights[line] * (scales[line] if len(scales) > 0 else np.float32(1))
        vector = np.int64(columns[line]) * width
        for i in range(0, width, LANES):
            add_scaled(total, i, weight, other, vector + i)


@inlined()
def _clear(panels: Any, count: int) -> None:
    stride = count * LANES * LANES
    for i in range(count):
        panels[i * stride : i * stride + (i + 1) * LANES * LANES] = 0


@inlined()
def _regularize(panels: Any, count: int, size: int, reg: Any) -> None:
    """Add λ to the diagonal; what pads the matrix becomes the identity."""
    for line in range(count * LANES):
        at = (line // LANES * count * LANES + line) * LANES + line % LANES
        panels[at] = panels[at] + reg if line < size else np.float32(1)


@compiled(
    types.void(
        read(types.int64),
        read(types.int32),
        read(types.float32),
        read(types.float32),
        read(types.float32),
        read(types.float32, 2),
        read(types.float32),
        types.int64,
        written(types.float32),
        written(types.float32, 2),
        written(types.boolean),
    ),
    reorder=True,
)
def solve_rows(
    indptr: Any,
    columns: Any,
    targets: Any,
    scales: Any,
    other: Any,
    gram: Any,
    regs: Any,
    size: int,
    work: Any,
    out: Any,
    failed: Any,
) -> None:
    """Solve all rows; see `recsearch.models.als.solver.RidgeSolver`.

    Args:
        indptr: ``(n_rows + 1,)``.
        columns: ``(nnz,)``, ascending in each row.
        targets: ``(nnz,)``.
        scales: ``(nnz,)``, or ``(0,)`` for 1 everywhere.
        other: vectors of the other side, each padded with zeros to whole panels; flat.
        gram: ``(n_columns, n_columns)`` products of all of them, of which the upper triangle is
            read, or ``(0, 0)`` where they are not at hand.
        regs: ``(n_rows,)``.
        size: embedding size d.
        work: `work_floats` floats, aligned to cache lines.
        out: ``(n_rows, d)``, 0 where a row is empty.
        failed: ``(n_rows,)``, set where the equations are not positive definite in float32.
    """
    width = -(-size // LANES) * LANES
    packed = work[: DEPTH * width]
    x = work[DEPTH * width : (DEPTH + 1) * width]
    inverse = work[(DEPTH + 1) * width : (DEPTH + 2) * width]
    panels = work[(DEPTH + 2) * width :]
    for row in range(len(regs)):
        start, stop = indptr[row], indptr[row + 1]
        n = stop - start
        if n == 0:
            continue
        chosen, wanted = columns[start:stop], targets[start:stop]
        factors = scales[start:stop] if len(scales) > 0 else scales
        dual = n < size
        count = -(-n // LANES) if dual else width // LANES
        _clear(panels, count)
        x[: count * LANES] = 0
        if not dual:
            _primal(panels, count, packed, x, chosen, wanted, factors, other)
        elif len(gram) > 0:
            _dual_from_gram(panels, count, chosen, factors, gram)
        else:
            _dual(panels, count, packed, chosen, factors, other, width)
        if dual:
            x[:n] = wanted
        _regularize(panels, count, n if dual else size, regs[row])
        if not _factor_and_solve(panels, count, inverse, x):
            failed[row] = True
        elif dual:
            _combine(inverse, width, x, chosen, factors, other)
            out[row] = inverse[:size]
        else:
            out[row] = x[:size]


def work_floats(size: int) -> int:
    """Length of the working memory of `solve_rows` for an embedding size."""
    width = -(-size // LANES) * LANES
    return (DEPTH + 2 + width) * width
