"""The cache of parsed data sets: fast when whole, never believed when damaged."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from recsearch.data import cache, load, load_dataset

ROWS = "user,item,rating,timestamp\na,x,4,100\nb,y,3,200\n"


@pytest.fixture
def name(home):
    (home / "r.csv").write_text(ROWS)
    return f"csv:{home}/r.csv"


@pytest.fixture
def stored(home, name):
    load_dataset(name)
    (path,) = (home / "cache/recsearch/parsed").iterdir()
    return path


def same(one, two):
    assert one.dataset_id == two.dataset_id
    for field in cache.ARRAYS:
        mine, theirs = getattr(one, field), getattr(two, field)
        if mine is None or theirs is None:
            assert mine is theirs
        else:
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)


def test_second_load_reads_no_table(name, stored, monkeypatch):
    from recsearch.data import tables

    first = tables._read(tables.Path(name[4:]), "csv", load_dataset(name).source, tables.Reading())
    monkeypatch.setattr(tables, "_read", None)
    same(load_dataset(name), first)


def test_arrays_come_back_as_they_were(home):
    ratings = load.generate("demo")
    bare = replace(ratings, titles=None, times=None)
    cache.remember("full", ratings)
    cache.remember("bare", bare)
    same(cache.recall("full", ratings.source), ratings)
    same(cache.recall("bare", ratings.source), bare)
    assert cache.recall("other", ratings.source) is None


def flip(data):
    return data[:300] + bytes([data[300] ^ 1]) + data[301:]


def rewritten(change):
    def damage(path):
        with np.load(path) as file:
            arrays = dict(file)
        change(arrays)
        np.savez(path, **arrays)

    return damage


def swap_hash(arrays):
    arrays["hash"] = arrays["hash"][::-1].copy()


def change_value(arrays):
    arrays["values"][0] = 5


def drop_users(arrays):
    del arrays["users"]


def add_array(arrays):
    arrays["extra"] = np.zeros(3)


def make_objects(arrays):
    arrays["values"] = np.array([{}, {}], dtype=object)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not numpy"),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(flip(path.read_bytes())),
        *[rewritten(c) for c in (swap_hash, change_value, drop_users, add_array, make_objects)],
    ],
)
def test_damaged_file_is_ignored_and_rebuilt(name, stored, damage):
    good = stored.read_bytes()
    expected = load_dataset(name)
    damage(stored)
    assert stored.read_bytes() != good
    same(load_dataset(name), expected)
    assert cache.recall(stored.stem, expected.source) is not None
    assert list(stored.parent.iterdir()) == [stored]


def test_interrupted_write_leaves_nothing(home, monkeypatch):
    ratings = load.generate("demo")

    def fail(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(KeyboardInterrupt):
        cache.remember("key", ratings)
    assert list((home / "cache/recsearch/parsed").iterdir()) == []


def test_unwritable_cache_is_no_error(home, name):
    (home / "cache").write_text("in the way")
    assert len(load_dataset(name).values) == 2


def test_cached_start_imports_no_heavy_library(name, stored, home):
    code = (
        "import sys, platformdirs\n"
        f"platformdirs.user_cache_dir = lambda name: {str(home / 'cache')!r} + '/' + name\n"
        "from recsearch.data import load_dataset, load_split\n"
        f"load_dataset({name!r})\n"
        "load_split(load_dataset('demo'))\n"
        "heavy = {'lenskit', 'pandas', 'torch', 'pyarrow', 'scipy', 'ssl'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
