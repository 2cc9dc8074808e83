"""The benchmark's rivals do what their authors describe, and the trace is what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.store import als
from benchmarks.store.bloom import Bloom
from benchmarks.store.differential import CheckNRun, CheckNRunQuantised, Differential
from benchmarks.store.incrcp import MENDED, IncrCP, IncrCPBinary, IncrCPMended
from benchmarks.store.incremental import Binary, Dicts, RowCodec
from benchmarks.store.protocol import Strategy
from benchmarks.store.strategies import STRATEGIES
from benchmarks.store.trace import (
    Knobs,
    Order,
    SparseTrace,
    Tables,
    Touched,
    Trace,
    Truth,
    differing_rows,
)
from recsearch.data import Ratings, load_dataset
from recsearch.errors import DataNotFoundError

EXACT = [name for name, kind in STRATEGIES.items() if not kind.lossy and kind is not IncrCP]


class Scripted(Trace):
    """One table of which given rows become the number of the version."""

    name = "scripted"
    share = 0.5

    def __init__(self, *touched: np.ndarray, rows: int = 1000):
        self.versions = len(touched) + 1
        self._touched = touched
        self._rows = rows

    def empty(self) -> Tables:
        return {"table": np.empty((self._rows, 2), np.float32)}

    def start(self, live: Tables) -> None:
        live["table"][...] = 0

    def step(self, version: int, live: Tables) -> Touched:
        ids = self._touched[version - 1]
        live["table"][ids] = version
        return {"table": ids}


def save_all(kind: type[Strategy], folder: Path, trace: Trace) -> None:
    one, live = kind(folder, trace), trace.empty()
    for version, touched in trace.replay(live):
        one.save(version, live, touched)
        one.wait()
    one.wait(behind=True)
    one.close()


def restored(kind: type[Strategy], folder: Path, trace: Trace, version: int) -> Tables:
    one, into = kind(folder, trace), trace.empty()
    for table in into.values():
        table.reshape(-1).view(np.uint8)[...] = 0x5A
    one.restore(version, into)
    one.close()
    return into


def tiny(order: Order = "arrival", *, versions: int = 6, share: float = 0.3) -> SparseTrace:
    return SparseTrace(Knobs(2, 700, 3, share, versions, order=order))


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("order", ["arrival", "sorted", "permuted"])
def test_every_version_is_restored_bit_for_bit(tmp_path: Path, name: str, order: Order) -> None:
    trace = tiny(order)
    truth = Truth(trace, tmp_path / "truth")
    save_all(STRATEGIES[name], tmp_path / "run", trace)
    wrong = {
        v: truth.wrong_rows(v, restored(STRATEGIES[name], tmp_path / "run", trace, v))
        for v in range(trace.versions)
    }
    assert wrong == dict.fromkeys(range(trace.versions), 0)


@pytest.mark.parametrize("name", EXACT)
def test_states_with_constant_tables_of_other_dtypes_are_restored(
    tmp_path: Path, name: str, trial: als.AlsTrace
) -> None:
    truth = Truth(trial, tmp_path / "truth")
    save_all(STRATEGIES[name], tmp_path / "run", trial)
    for version in range(trial.versions):
        found = restored(STRATEGIES[name], tmp_path / "run", trial, version)
        assert truth.wrong_rows(version, found) == 0


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[als.AlsTrace]:
    """A trial on generated ratings, because the real ones are not there."""

    def load(name: str, *, allow_download: bool = True) -> Ratings:
        if name == als.DATA:
            raise DataNotFoundError("absent")
        return load_dataset(name, allow_download=allow_download)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(als, "STAND_IN", "demo:small")
        patch.setattr(als, "load_dataset", load)
        yield als.als_trace(4, epochs=4, cache=tmp_path_factory.mktemp("als"))


def test_the_stand_in_is_a_real_factorisation_and_says_so(trial: als.AlsTrace) -> None:
    assert "stands in" in trial.note
    assert {"model/item_embeddings", "users/user_embeddings"} <= set(trial.empty())
    assert {name.partition("/")[0] for name in trial.constant} == {"biases", "vocabulary"}
    live, changes = trial.empty(), []
    before = {}
    for _, touched in trial.replay(live):
        if before:
            changes.append({n: differing_rows(before[n], live[n]) for n in live})
            assert touched.keys() == live.keys() - trial.constant
        before = {name: table.copy() for name, table in live.items()}
    for changed in changes:
        assert all(changed[name] == 0 for name in trial.constant)
        assert changed["model/item_embeddings"] > 0.9 * len(live["model/item_embeddings"])
    again = als.als_trace(4, epochs=4, cache=trial._folder.parent)
    assert again.epoch_s == trial.epoch_s  # read, not trained again


def test_the_trace_touches_what_it_says_and_nothing_else() -> None:
    trace = SparseTrace(Knobs(2, 500, 4, 0.1, 4))
    live, before = trace.empty(), {}
    for version, touched in trace.replay(live):
        for name, ids in touched.items():
            assert len(np.unique(ids)) == 50 < len(ids)
            changed = (before[name] != live[name]).any(axis=1)
            assert set(np.flatnonzero(changed)) == set(ids.tolist())
        assert bool(touched) == (version > 0)
        before = {name: table.copy() for name, table in live.items()}
    again = trace.empty()
    for _ in SparseTrace(trace.knobs).replay(again):
        pass
    assert all((again[name] == live[name]).all() for name in live)


def test_low_numbers_are_popular_unless_permuted() -> None:
    def mean(order: Order) -> float:
        trace = SparseTrace(Knobs(1, 1000, 2, 0.05, 20, order=order))
        return float(np.mean([np.mean(trace.touched(v)["table0"]) for v in range(1, 20)]))

    assert mean("arrival") < 250 < 400 < mean("permuted") < 600
    ids = SparseTrace(Knobs(1, 1000, 2, 0.05, 2, order="sorted")).touched(1)["table0"]
    assert (np.diff(ids) > 0).all()
    ids = SparseTrace(Knobs(1, 1000, 2, 0.05, 2)).touched(1)["table0"]
    assert not (np.diff(ids) > 0).all()


def test_wrong_rows_are_counted_by_bits() -> None:
    one = np.zeros((5, 3), np.float32)
    other = one.copy()
    other[1] = -0.0
    other[3, 2] = np.nan
    one[4], other[4] = np.nan, np.nan
    assert differing_rows(one, other) == 2


@pytest.mark.parametrize("codec", [Binary(), Dicts()])
def test_packed_rows_split_and_come_back(codec: RowCodec) -> None:
    ids = np.array([7, 2, 9, 4])
    rows = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    kept, moved = codec.split(b"".join(codec.pack(ids, rows)), ids, np.isin(ids, [2, 4]))
    for data, some in ((kept, [0, 2]), (moved, [1, 3])):
        table = np.full((10, 3), np.nan, np.float32)
        codec.scatter(data, table)
        assert (table[ids[some]] == rows[some]).all()
        assert np.isnan(table).all(axis=1).sum() == 8


def test_msgpack_rows_take_nine_bytes_a_number() -> None:
    rows = np.random.default_rng(1).normal(size=(100, 16)).astype(np.float32)
    size = len(b"".join(Dicts().pack(np.arange(100), rows)))
    assert 9 * 16 * 100 < size < 9 * 16 * 100 + 5 * 100


def test_a_bloom_filter_finds_all_and_few_others() -> None:
    held = np.arange(0, 20_000, 2)
    bloom = Bloom(held)
    assert bloom.count(held) == len(held)
    assert bloom.count(held + 1) < 0.005 * len(held)


def test_check_n_run_begins_anew_when_its_predictor_says_so(tmp_path: Path) -> None:
    """A fifth of the rows more each time: 1 + 0.2 + 0.4 <= 3 x 0.6, and not before."""
    fifths = [np.arange(200 * n, 200 * (n + 1)) for n in range(5)]
    trace = Scripted(*fifths)
    for kind, bases in ((CheckNRun, {0, 3}), (Differential, {0})):
        folder = tmp_path / kind.__name__
        save_all(kind, folder, trace)
        assert {int(path.stem) for path in folder.glob("*.base")} == bases
        assert len(list(folder.iterdir())) == trace.versions


def test_quantised_rows_are_within_half_a_step(tmp_path: Path) -> None:
    trace = tiny()
    truth = Truth(trace, tmp_path / "truth")
    save_all(CheckNRunQuantised, tmp_path / "run", trace)
    live = trace.empty()
    for version, _ in trace.replay(live):
        found = restored(CheckNRunQuantised, tmp_path / "run", trace, version)
        assert truth.wrong_rows(version, found) > 0
        for name, table in live.items():
            step = (table.max(axis=1) - table.min(axis=1)) / 255
            off = np.abs(found[name] - table).max(axis=1)
            # Rows that were saved in an earlier version have not changed since.
            assert (off <= 0.51 * step + 1e-7).all()


def newest(folder: Path, trace: Trace, kind: type[IncrCP]) -> Mapping[str, int]:
    """How many packed rows the newest version of a mended IncrCP reads."""
    one, read = kind(folder, trace), {"rows": 0}

    class Counting(Binary):
        def scatter(self, data: bytes | memoryview, table: np.ndarray) -> None:
            read["rows"] += int.from_bytes(data[:8], "little")
            super().scatter(data, table)

    one.codec = Counting()  # type: ignore[misc]
    one.restore(trace.versions - 1, trace.empty())
    one.close()
    return read


def test_incrcp_reads_no_superseded_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    touched = [rng.choice(5000, 1500, replace=False) for _ in range(4)]
    trace = Scripted(*touched, rows=5000)
    save_all(IncrCPBinary, tmp_path, trace)
    assert newest(tmp_path, trace, IncrCPBinary)["rows"] == len(np.unique(np.concatenate(touched)))


def test_published_incrcp_gets_exactly_the_rows_wrong_whose_overlap_it_misses(
    tmp_path: Path,
) -> None:
    """Ids begin high and end low, so that first and last are no range, and no overlap is seen.

    Both versions of a row are then read, in the order of a hash of their files' names.
    """
    old = np.r_[500:800, 200:500]
    new = np.r_[450:700, 100:450]
    assert new[-1] < old[0]
    trace = Scripted(old, new)
    save_all(IncrCP, tmp_path / "published", trace)
    truth = Truth(trace, tmp_path / "truth")
    wrong = truth.wrong_rows(2, restored(IncrCP, tmp_path / "published", trace, 2))
    # By CRC-32, 000002.tdc comes before 000001.tdc.
    assert wrong == len(np.intersect1d(old, new)) == 500
    assert truth.wrong_rows(1, restored(IncrCP, tmp_path / "published", trace, 1)) == 0
    save_all(IncrCPMended, tmp_path / "mended", trace)
    assert truth.wrong_rows(2, restored(IncrCPMended, tmp_path / "mended", trace, 2)) == 0


class Concatenating(IncrCPBinary):
    rules = replace(MENDED, concatenate=True)


def test_concatenated_files_stay_while_one_chunk_in_them_is_used(tmp_path: Path) -> None:
    """The same rows are stored once without concatenation, and many times over with it."""
    rng = np.random.default_rng(1)
    trace = Scripted(*(rng.choice(3000, 900, replace=False) for _ in range(12)), rows=3000)
    sizes = []
    for kind in (IncrCPBinary, Concatenating):
        save_all(kind, tmp_path / kind.__name__, trace)
        sizes.append(sum(f.stat().st_size for f in (tmp_path / kind.__name__).rglob("*.tdc")))
    rows = 12 * 900 * (8 + 2 * 4)
    assert rows <= sizes[0] < 1.1 * rows
    assert sizes[1] > 1.4 * rows
    truth = Truth(trace, tmp_path / "truth")
    for version in range(trace.versions):
        found = restored(Concatenating, tmp_path / "Concatenating", trace, version)
        assert truth.wrong_rows(version, found) == 0
