"""The exact solver against float64 algebra, in every way that it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsearch.errors import RecsearchError
from recsearch.models.als.rows import PADDING_RATIO, SparseRows, batches
from recsearch.models.als.solver import BATCHED_BELOW, RidgeSolver, aligned_empty

LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=30)


def random_rows(lengths: list[int], *, scaled: bool = False, seed: int = 0) -> SparseRows:
    rng = np.random.default_rng(seed)
    columns = [np.sort(rng.permutation(45)[:length]) for length in lengths]
    total = sum(lengths)
    return SparseRows(
        indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        columns=np.concatenate([*columns, np.zeros(0)]).astype(np.int32),
        targets=rng.standard_normal(total).astype(np.float32),
        scales=rng.uniform(0.5, 3, total).astype(np.float32) if scaled else None,
        n_columns=45,
    )


def vectors(n: int, d: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def reference(rows: SparseRows, other: np.ndarray, reg: float, per_entry: bool) -> np.ndarray:
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


@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.sampled_from([1, 7, 20, 60]), st.booleans(), st.booleans(), st.booleans())
def test_equals_float64_algebra(
    lengths: list[int], d: int, batched: bool, scaled: bool, per_entry: bool
) -> None:
    rows, other = random_rows(lengths, scaled=scaled), vectors(45, d)
    found = RidgeSolver(rows, d, batched=batched).solve(other, 0.3, per_entry=per_entry)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(rows, other, 0.3, per_entry), atol=2e-4)


@given(LENGTHS, st.integers(1, 1 << 20))
def test_batches_hold_every_entry_once_and_pad_with_nothing(lengths: list[int], size: int) -> None:
    rows = random_rows(lengths, scaled=True)
    seen = []
    for batch in batches(rows, size):
        width = batch.columns.shape[1]
        assert width <= max(batch.counts.min() + 2, batch.counts.min() * PADDING_RATIO)
        for at, row in enumerate(batch.rows.tolist()):
            seen.append(row)
            n, entries = lengths[row], slice(rows.indptr[row], rows.indptr[row + 1])
            assert batch.counts[at] == n
            assert (batch.columns[at, :n] == rows.columns[entries]).all()
            assert (batch.targets[at, :n] == rows.targets[entries]).all()
            assert (batch.scales[at, :n] == rows.scales[entries]).all()
            assert (batch.columns[at, n:] == rows.n_columns).all()
            assert not batch.targets[at, n:].any()
            assert not batch.scales[at, n:].any()
    assert sorted(seen) == [row for row, n in enumerate(lengths) if n]


@given(LENGTHS)
def test_transposing_twice_gives_the_same_rows(lengths: list[int]) -> None:
    rows = random_rows(lengths, scaled=True)
    turned = rows.transposed()
    assert turned.n_rows == 45
    assert turned.counts.tolist() == np.bincount(rows.columns, minlength=45).tolist()
    again = turned.transposed()
    for name in ("indptr", "columns", "targets", "scales"):
        assert getattr(again, name).tolist() == getattr(rows, name).tolist()


@pytest.mark.parametrize("d", [5, BATCHED_BELOW])
def test_rows_without_entries_get_the_zero_vector(d: int) -> None:
    rows = random_rows([0, 3, 0])
    found = RidgeSolver(rows, d).solve(vectors(45, d), 0.1, per_entry=True)
    assert not found[[0, 2]].any()
    assert found[1].any()


@pytest.mark.parametrize("batched", [True, False])
def test_all_rows_empty(batched: bool) -> None:
    found = RidgeSolver(random_rows([0, 0]), 9, batched=batched).solve(
        vectors(45, 9), 0.1, per_entry=True
    )
    assert found.shape == (2, 9)
    assert not found.any()


@pytest.mark.parametrize(("batched", "length"), [(True, 3), (False, 3), (False, 30)])
def test_equations_beyond_float32_are_solved_in_float64(batched: bool, length: int) -> None:
    rows = random_rows([length])
    other = np.repeat(vectors(1, 6), 45, axis=0)  # one direction only: singular without reg
    reg = 1e-9
    found = RidgeSolver(rows, 6, batched=batched).solve(other, reg, per_entry=False)
    expected = reference(rows, other, reg, per_entry=False)
    np.testing.assert_allclose(other[0] @ found[0], other[0] @ expected[0], rtol=1e-3)


@pytest.mark.parametrize("batched", [True, False])
def test_singular_equations_say_so(batched: bool) -> None:
    rows = random_rows([4])
    with pytest.raises(RecsearchError, match=r"row 0 .* increase the regularization"):
        RidgeSolver(rows, 6, batched=batched).solve(
            np.zeros((45, 6), dtype=np.float32), 0.0, per_entry=False
        )


@pytest.mark.parametrize("batched", [True, False])
def test_not_a_number_stays_not_a_number(batched: bool) -> None:
    other = vectors(45, 6)
    other[:] = np.nan
    found = RidgeSolver(random_rows([4, 9]), 6, batched=batched).solve(other, 0.1, per_entry=True)
    assert np.isnan(found).all()


def test_both_ways_agree() -> None:
    rows, other = random_rows(list(range(40))), vectors(45, 16)
    ways = [
        RidgeSolver(rows, 16, batched=batched).solve(other, 0.1, per_entry=True)
        for batched in (True, False)
    ]
    np.testing.assert_allclose(ways[0], ways[1], atol=2e-5)


def test_aligned_empty_is_aligned() -> None:
    for size in (1, 17, 4096):
        found = aligned_empty(size)
        assert found.shape == (size,)
        assert found.ctypes.data % 64 == 0


PROGRAM = """
import hashlib, random, sys
import numpy as np
random.seed(int(sys.argv[1]))
ballast = [np.empty(random.randrange(1, 9000), np.uint8) for _ in range(900)][:: int(sys.argv[1])]
sys.path.insert(0, sys.argv[2])
from test_als_solver import random_rows, vectors
from recsearch.models.als.solver import RidgeSolver

def moved(array):
    raw, skip = np.empty(array.nbytes + 64, np.uint8), 4 * random.randrange(16)
    found = raw[skip : skip + array.nbytes].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found

lengths = np.random.default_rng(3).integers(0, 46, 150).tolist()
rows = random_rows(lengths)
for d in (8, 31, 48, 130):
    by_row, by_column = RidgeSolver(rows, d), RidgeSolver(rows.transposed(), d)
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
