"""``recsearch data``: list, show and fetch."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import platformdirs
import pytest
from click.testing import CliRunner

from recsearch.cli.data import data
from recsearch.data import DATASETS, fetch
from recsearch.data.catalogue import Shape
from recsearch.errors import DataError, DataNotFoundError, UsageError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.setattr(fetch, "PROJECT", tmp_path / "checkout")
    monkeypatch.setenv("RECSEARCH_DATA", str(tmp_path / "named"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


@pytest.fixture
def tiny_ml1m(home, monkeypatch):
    """A tiny ml-1m.zip on the search path, of the shape that the catalogue then expects."""
    entry = replace(DATASETS["ml1m"], shape=Shape(users=2, ratings=2, items=2, rated_items=1))
    monkeypatch.setitem(DATASETS, "ml1m", entry)
    (home / "named").mkdir()
    with zipfile.ZipFile(home / "named/ml-1m.zip", "w") as file:
        file.writestr("ml-1m/", "")
        file.writestr("ml-1m/movies.dat", "5::Heat (1995)::Drama\n6::Unseen::Drama\n")
        file.writestr("ml-1m/ratings.dat", "1::5::4::978300760\n2::5::1::978300761\n")
        file.writestr("ml-1m/NOTE.txt", "made by hand")
    return home / "named/ml-1m.zip"


def run(*arguments):
    done = CliRunner().invoke(data, list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_list(tiny_ml1m):
    lines = {line.split()[0]: line for line in run("list").splitlines()}
    assert list(lines) == ["name", *DATASETS]
    assert lines["ml100k"].endswith("absent")
    assert lines["demo"].endswith("generated")
    assert "not official" in lines["ml1m"]
    assert lines["ml1m"].endswith(str(tiny_ml1m))


def test_list_as_json(tiny_ml1m):
    rows = {row["name"]: row for row in json.loads(run("list", "--json"))}
    assert rows["ml1m"]["state"] == "present"
    assert rows["ml1m"]["official"] is False
    assert rows["ml100k"]["state"] == "absent"
    assert rows["ml100k"]["official"] is None
    assert rows["demo"] == {
        "name": "demo", "title": "generated ratings (demo)", "state": "generated", "path": None,
        "sha256": None, "official": None, "generated": True, "url": None,
        "users": None, "items": None, "ratings": None,
    }  # fmt: skip


def test_show():
    text = run("show", "demo")
    assert "demo  (generated ratings (demo))" in text
    assert "400 known" in text
    assert "crossfold-users (folds 5, holdout 5, seed 20260701)" in text
    assert "part 4: " in text
    assert "not given by people" in text
    assert "   5 ##" in text


def test_show_as_json():
    from recsearch.data import load_dataset, load_split

    ratings = load_dataset("demo")
    facts = json.loads(run("show", "demo", "--json"))
    assert (facts["users"], facts["items"], facts["ratings"]) == (600, 400, len(ratings.values))
    assert facts["dataset_id"] == ratings.dataset_id
    assert sum(facts["histogram"].values()) == facts["ratings"]
    parts = facts["splits"]["parts"]
    assert [part["split_id"] for part in parts] == [
        load_split(ratings, part=part).split_id for part in range(5)
    ]
    assert parts[0]["eval_users"] == 120
    assert parts[0]["train_ratings"] + parts[0]["heldout_ratings"] == facts["ratings"]


def test_show_says_what_is_not_official_and_why_it_cannot_be_split(tiny_ml1m):
    text = run("show", "ml-1m")
    assert "2 known, 1 rated" in text
    assert "2000-12-31T22:12:40 to 2000-12-31T22:12:41 UTC" in text
    assert "ml-1m.zip (not official)" in text
    assert "NOTE.txt" in text
    assert "none: ml1m: 2 users cannot be dealt into 5 parts" in text


def test_show_of_many_different_ratings(home):
    rows = "".join(f"u{i},x,{i / 7:.4f}\n" for i in range(30))
    (home / "work/r.csv").write_text("user,item,rating\n" + rows)
    text = run("show", "csv:r.csv")
    assert "30 different values from 0 to 4.1429" in text


def test_show_does_not_download():
    with pytest.raises(DataNotFoundError) as caught:
        run("show", "ml1m")
    assert caught.value.hint == "recsearch data fetch ml1m"


SPLIT = ("split", "demo", "--split", "pick=last", "--split", "isolate=true")


def test_split_counts_every_part_and_finds_no_overlap():
    facts = json.loads(run(*SPLIT, "--json"))
    assert (facts["method"], facts["pick"], facts["isolate"]) == ("crossfold-users", "last", True)
    total = json.loads(run("show", "demo", "--json"))["ratings"]
    assert [part["role"] for part in facts["parts"]] == ["validation", *["test"] * 4]
    for part in facts["parts"]:
        assert part["overlap"] == 0
        assert part["heldout_ratings"] == 5 * part["eval_users"]
        counts = [part[f"{side}_ratings"] for side in ("train", "heldout", "left_out")]
        assert sum(counts) == total
        assert counts[0] == total - 600 * 5
    head, *rows = run(*SPLIT).splitlines()[1:]
    assert head.split()[:3] == ["part", "for", "users"]
    assert rows[0].split()[:3] == ["0", "validation", "120"]


def test_split_prepares_as_a_search_does():
    steps = ("--prepare", "implicit=4", "--prepare", "core=5")
    text = run("split", "demo", *steps, "--split", "global-time")
    assert "prepared: implicit (at_least 4), core (users 5, items 5)" in text
    assert "note: prepared by implicit (at_least 4): " in text
    assert json.loads(run("show", "demo", *steps, "--json"))["histogram"].keys() == {"1"}


def test_split_writes_its_parts_with_digests(tmp_path):
    import hashlib

    import pyarrow.parquet as pq

    out = tmp_path / "parts"
    facts = json.loads(run("split", "demo", "--out", str(out), "--json"))
    assert json.loads((out / "split.json").read_text()) == facts
    first = facts["parts"][0]
    for name, digest in first["files"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    held = pq.read_table(out / "part-0-heldout.parquet")
    assert held.column_names == ["user_id", "item_id", "rating", "timestamp"]
    assert len(held) == first["heldout_ratings"]
    assert len(pq.read_table(out / "part-0-train.parquet")) == first["train_ratings"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--prepare", "cor=5"), "no step 'cor'.*did you mean core"),
        (("--prepare", "core"), "expected KEY=VALUE"),
        (("--split", "temporal"), 'data.split.method: "temporal" does not fit'),
        (("--split", "cuts=[0.5, 0.6]"), "cuts plays no part in .*crossfold-users"),
        (("--split", "fold=3"), "did you mean folds"),
        (("--read", "delimiter=::"), "delimiter is for csv: files, not for demo"),
    ],
)
def test_wrong_options_are_named(words, message):
    with pytest.raises(UsageError, match=message):
        run("split", "demo", *words)


def test_fetch_of_what_is_here(tiny_ml1m):
    assert f"ml1m: {tiny_ml1m} (not official)" in run("fetch", "ml1m")
    told = json.loads(run("fetch", "ml1m", "--json"))
    assert told["path"] == str(tiny_ml1m)
    assert told["official"] is False
    assert "nothing to fetch (generated)" in run("fetch", "demo")


def test_errors_reach_the_caller(home):
    with pytest.raises(UsageError, match="nearest names are"):
        run("fetch", "ml3m")
    (home / "work/r.csv").write_text("user,item\n")
    with pytest.raises(DataError, match="no ratings"):
        run("show", "csv:r.csv")
