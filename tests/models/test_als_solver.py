"""The exact solver against float64 algebra, in every way that it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_splits import make_split
from scipy.sparse import csr_array

from recsearch.errors import RecsearchError
from recsearch.models.als import tiles
from recsearch.models.als.kernels import TILES
from recsearch.models.als.rows import PADDING_RATIO, Layout, SparseRows, batches, layouts
from recsearch.models.als.solver import RidgeSolver, aligned_empty
from recsearch.models.als.tiles import LANES

LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=30)


@dataclass
class Matrix:
    """A sparse matrix with targets and scales, as a reference reads it."""

    indptr: np.ndarray
    columns: np.ndarray
    targets: np.ndarray
    scales: np.ndarray | None
    n_columns: int

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1

    def rows(self) -> SparseRows:
        layout = Layout.of(self.indptr, self.columns, self.n_columns)
        return SparseRows.of(layout, self.targets, self.scales)

    def by_column(self) -> SparseRows:
        layout = Layout.transposed(self.indptr, self.columns, self.n_columns)
        return SparseRows.of(layout, self.targets, self.scales)


def random_matrix(lengths: list[int], *, scaled: bool = False, seed: int = 0) -> Matrix:
    rng = np.random.default_rng(seed)
    columns = [np.sort(rng.permutation(45)[:length]) for length in lengths]
    total = sum(lengths)
    return Matrix(
        indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        columns=np.concatenate([*columns, np.zeros(0)]).astype(np.int32),
        targets=rng.standard_normal(total).astype(np.float32),
        scales=rng.uniform(0.5, 3, total).astype(np.float32) if scaled else None,
        n_columns=45,
    )


def vectors(n: int, d: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def reference(rows: Matrix, other: np.ndarray, reg: float, per_entry: bool) -> np.ndarray:
    out = np.zeros((rows.n_rows, other.shape[1]))
    for row in range(rows.n_rows):
        entries = slice(rows.indptr[row], rows.indptr[row + 1])
        M = other[rows.columns[entries]].astype(np.float64)
        if rows.scales is not None:
            M = M * rows.scales[entries].astype(np.float64)[:, None]
        ridge = reg * (len(M) if per_entry else 1) * np.eye(other.shape[1])
        if len(M):
            out[row] = np.linalg.solve(M.T @ M + ridge, M.T @ rows.targets[entries])
    return out


SIZES = [1, 7, LANES - 1, LANES, LANES + 1, 20, 3 * LANES, 60]


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.sampled_from(SIZES), st.booleans(), st.booleans(), st.booleans())
def test_equals_float64_algebra(
    lengths: list[int], d: int, gram: bool, scaled: bool, per_entry: bool
) -> None:
    matrix, other = random_matrix(lengths, scaled=scaled), vectors(45, d)
    found = RidgeSolver(matrix.rows(), d, gram=gram).solve(other, 0.3, per_entry=per_entry)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(matrix, other, 0.3, per_entry), atol=2e-4)


@pytest.mark.parametrize("d", [9, 300])
@pytest.mark.parametrize("length", [200, 299, 300, 301, 700])
def test_rows_longer_than_what_is_packed_at_a_time(length: int, d: int) -> None:
    rng = np.random.default_rng(5)
    columns = np.sort(rng.permutation(800)[:length]).astype(np.int32)
    targets = rng.standard_normal(length).astype(np.float32)
    matrix = Matrix(np.array([0, length]), columns, targets, None, 800)
    other = vectors(800, d) / np.float32(np.sqrt(d))
    for gram in (False, True):
        found = RidgeSolver(matrix.rows(), d, gram=gram).solve(other, 0.05, per_entry=True)
        np.testing.assert_allclose(found, reference(matrix, other, 0.05, True), atol=2e-5)


@settings(deadline=None)
@given(LENGTHS)
def test_by_column_equals_the_transposed_matrix(lengths: list[int]) -> None:
    matrix, other = random_matrix(lengths, scaled=True), vectors(len(lengths), 5)
    shape = (matrix.n_rows, 45)
    where = csr_array((np.arange(len(matrix.columns)), matrix.columns, matrix.indptr), shape)
    turned = where.T.tocsr()
    entries = turned.data
    expected = Matrix(
        turned.indptr,
        turned.indices,
        matrix.targets[entries],
        matrix.scales[entries],
        matrix.n_rows,
    )
    found = RidgeSolver(matrix.by_column(), 5).solve(other, 0.2, per_entry=True)
    np.testing.assert_allclose(found, reference(expected, other, 0.2, True), atol=2e-4)


@given(LENGTHS)
def test_a_layout_renumbers_columns_by_frequency(lengths: list[int]) -> None:
    matrix = random_matrix(lengths)
    layout = Layout.of(matrix.indptr, matrix.columns, 45)
    frequency = np.bincount(matrix.columns, minlength=45)[layout.order]
    assert (np.diff(frequency) <= 0).all()
    assert sorted(layout.order.tolist()) == list(range(45))
    assert (layout.order[layout.columns] == matrix.columns[layout.entries]).all()
    for row in range(matrix.n_rows):
        entries = slice(layout.indptr[row], layout.indptr[row + 1])
        assert (np.diff(layout.columns[entries]) > 0).all()
        assert sorted(layout.entries[entries]) == list(range(entries.start, entries.stop))


@given(LENGTHS, st.integers(1, 1 << 20))
def test_batches_hold_every_entry_once_and_pad_with_nothing(lengths: list[int], size: int) -> None:
    rows = random_matrix(lengths, scaled=True).rows()
    layout = rows.layout
    seen = []
    for batch in batches(rows, size, 1 << 19):
        width = batch.columns.shape[1]
        assert width <= max(batch.counts.min() + 2, batch.counts.min() * PADDING_RATIO)
        for at, row in enumerate(batch.rows.tolist()):
            seen.append(row)
            n, entries = lengths[row], slice(layout.indptr[row], layout.indptr[row + 1])
            assert batch.counts[at] == n
            assert (batch.columns[at, :n] == layout.columns[entries]).all()
            assert (batch.targets[at, :n] == rows.targets[entries]).all()
            assert (batch.scales[at, :n] == rows.scales[entries]).all()
            assert (batch.columns[at, n:] == 45).all()
            assert not batch.targets[at, n:].any()
            assert not batch.scales[at, n:].any()
    assert sorted(seen) == [row for row, n in enumerate(lengths) if n]


@pytest.mark.parametrize("d", [5, 48])
def test_rows_without_entries_get_the_zero_vector(d: int) -> None:
    rows = random_matrix([0, 3, 0]).rows()
    found = RidgeSolver(rows, d).solve(vectors(45, d), 0.1, per_entry=True)
    assert not found[[0, 2]].any()
    assert found[1].any()


@pytest.mark.parametrize("gram", [True, False])
def test_all_rows_empty(gram: bool) -> None:
    rows = random_matrix([0, 0]).rows()
    found = RidgeSolver(rows, 9, gram=gram).solve(vectors(45, 9), 0.1, per_entry=True)
    assert found.shape == (2, 9)
    assert not found.any()


@pytest.mark.parametrize(("gram", "length"), [(True, 3), (False, 3), (False, 30)])
def test_equations_beyond_float32_are_solved_in_float64(gram: bool, length: int) -> None:
    matrix = random_matrix([length])
    other = np.repeat(vectors(1, 6), 45, axis=0)  # one direction only: singular without reg
    reg = 1e-9
    found = RidgeSolver(matrix.rows(), 6, gram=gram).solve(other, reg, per_entry=False)
    expected = reference(matrix, other, reg, per_entry=False)
    np.testing.assert_allclose(other[0] @ found[0], other[0] @ expected[0], rtol=1e-3)


@pytest.mark.parametrize("gram", [True, False])
def test_singular_equations_say_so(gram: bool) -> None:
    rows = random_matrix([4]).rows()
    with pytest.raises(RecsearchError, match=r"row 0 .* increase the regularization"):
        RidgeSolver(rows, 6, gram=gram).solve(
            np.zeros((45, 6), dtype=np.float32), 0.0, per_entry=False
        )


@pytest.mark.parametrize("gram", [True, False])
def test_not_a_number_stays_not_a_number(gram: bool) -> None:
    other = vectors(45, 6)
    other[:] = np.nan
    rows = random_matrix([4, 9]).rows()
    found = RidgeSolver(rows, 6, gram=gram).solve(other, 0.1, per_entry=True)
    assert np.isnan(found).all()


def test_both_ways_agree() -> None:
    rows, other = random_matrix(list(range(40)), scaled=True).rows(), vectors(45, 16)
    ways = [
        RidgeSolver(rows, 16, gram=gram).solve(other, 0.1, per_entry=True) for gram in (True, False)
    ]
    np.testing.assert_allclose(ways[0], ways[1], atol=2e-5)


def test_products_are_looked_up_where_rows_share_them() -> None:
    assert RidgeSolver(random_matrix([40] * 60).rows(), 64).gram
    assert not RidgeSolver(random_matrix([40]).rows(), 64).gram
    assert not RidgeSolver(random_matrix([40] * 60).rows(), 16).gram


def test_layouts_are_computed_once_for_a_training_set() -> None:
    split = make_split()
    first = layouts(split.train, split.n_items)
    assert layouts(split.train, split.n_items) is first


def test_aligned_empty_is_aligned() -> None:
    for size in (1, 17, 4096):
        found = aligned_empty(size)
        assert found.shape == (size,)
        assert found.ctypes.data % 64 == 0


def test_compiled_code_is_renewed_when_the_tiles_change() -> None:
    digest = blake2b(Path(tiles.__file__).read_bytes(), digest_size=8).hexdigest()
    assert digest == TILES, f'write TILES = "{digest}" into recsearch/models/als/kernels.py'


PROGRAM = """
import hashlib, random, sys
import numpy as np
random.seed(int(sys.argv[1]))
ballast = [np.empty(random.randrange(1, 9000), np.uint8) for _ in range(900)][:: int(sys.argv[1])]
sys.path.insert(0, sys.argv[2])
from test_als_solver import random_matrix, vectors
from recsearch.models.als.solver import RidgeSolver

def moved(array):
    raw, skip = np.empty(array.nbytes + 64, np.uint8), 4 * random.randrange(16)
    found = raw[skip : skip + array.nbytes].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found

lengths = np.random.default_rng(3).integers(0, 46, 150).tolist()
matrix = random_matrix(lengths)
for d in (8, 31, 48, 130):
    by_row, by_column = RidgeSolver(matrix.rows(), d), RidgeSolver(matrix.by_column(), d)
    items = vectors(45, d)
    for _ in range(2):
        users = by_row.solve(moved(items), 0.1, per_entry=True)
        items = by_column.solve(moved(users), 0.1, per_entry=True)
    print(hashlib.sha256(users.tobytes() + items.tobytes()).hexdigest())

from model_splits import make_split
from recsearch.models import resolve

split = make_split()
for name, size in (("als", 50), ("als-implicit", 6), ("als-implicit", 50)):
    model = resolve(name).create({"embedding_size": size}, split, 7)
    for _ in range(2):
        model.train_epoch()
    block = model.scores(np.arange(split.n_users))
    print(hashlib.sha256(block.tobytes() + model.item_embeddings.tobytes()).hexdigest())
"""


def test_equal_bits_in_processes_with_other_memory_layouts_and_thread_counts() -> None:
    here = str(Path(__file__).parent)
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(number), here],
            env={**os.environ, "OPENBLAS_NUM_THREADS": str(number)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in (1, 2)
    }
    assert len(outputs) == 1
    assert len(outputs.pop().split()) == 7
