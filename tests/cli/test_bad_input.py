"""What a tired user types at midnight: one paragraph, the next command, the right exit code."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest
from search_tools import write_search

from recsearch.cli import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with ratings, and nothing cached or downloaded elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RECSEARCH_DATA", str(tmp_path / "archives"))
    monkeypatch.delenv("RECSEARCH_STORE", raising=False)
    rows = ["user,item,rating"] + [f"{u},{i},3" for u in range(1, 31) for i in range(8)]
    (tmp_path / "ratings.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(list(arguments))
    return Done(int(end.value.code or 0), out.getvalue(), err.getvalue())


def search_with(text: str) -> Path:
    """The planted search file with one line changed or added."""
    path = write_search(Path("bad.toml"))
    path.write_text(path.read_text() + text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "fragments"),
    [
        ("levle = { type = 'float', min = 1, max = 2 }", ["bad.toml", "levle", "no parameter"]),
        ("slope = { type = 'float', min = 2, max = 1 }", ["bad.toml", "space.slope", "min"]),
        ("slope = { type = 'float', min = 0, max = 1, scale = 'log' }", ["space.slope", "log"]),
        ("slope = { type = 'flaot', min = 0, max = 1 }", ["space.slope.type", "float"]),
        ("slope = { type = 'choice', choices = [] }", ["space.slope", "choices"]),
        ("slope = { type = 'float', min = 0, max = 1, sacle = 'log' }", ["sacle", "scale"]),
        ("this is not toml", ["bad.toml", "line"]),
        ("[serach]\ntrials = 3", ["serach", "search"]),
    ],
)
def test_mistakes_in_a_search_file_name_file_and_key(
    folder: Path, line: str, fragments: list[str]
) -> None:
    search_with(line + "\n")
    done = run("search", "bad.toml", "csv:ratings.csv", "--no-report")
    assert done.code == 2, done
    for fragment in fragments:
        assert fragment in done.err
    assert "Traceback" not in done.err
    assert not (folder / "runs" / "bad-csv-ratings" / "run.json").exists(), "nothing was begun"


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["search", "asl", "demo"], ["asl", "als", "recsearch spaces list"]),
        (["search", "als-mars"], ["mars", "recsearch data list"]),
        (["search", "als"], ["no data set follows"]),
        (["search", "als", "ml1n"], ["ml1n", "ml1m"]),
        (["search", "als", "demo", "--metric", "NDGC@10"], ["NDGC@10", "NDCG@10"]),
        (["search", "als", "demo", "--set", "space.embedding_size.mx=9"], ["mx", "max"]),
        (["search", "als", "demo", "--trials", "0"], ["--trials"]),
        (["search", "popular", "demo", "--metric", "RMSE"], ["RMSE", "ratings"]),
        (["search", "als", "demo", "--retention", "newest"], ["newest"]),
        (["status", "runs/none"], ["no run here", "recsearch status"]),
        (["best", "runs/none"], ["no run here"]),
        (["load", "runs/none"], ["no run here"]),
        (["verify", "none.json"], ["none.json", "best-config.json"]),
        (["report", "runs/none"], ["no run here"]),
        (["serach"], ["serach"]),
    ],
)
def test_wrong_names_and_options_say_what_was_expected(
    folder: Path, arguments: list[str], fragments: list[str]
) -> None:
    done = run(*arguments)
    assert done.code == 2, done
    for fragment in fragments:
        assert fragment in done.err, done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("user,item,rating\n1,1,nan\n", ["line 2", "rating"]),
        ("user,item,rating\n1,1,3\n1,1,4\n", ["line", "2", "3"]),
        ("user,item,rating\n1,1,x\n", ["line 2"]),
        ("user,thing,rating\n1,1,3\n", ["item"]),
        ("user,item,rating\n", ["no ratings"]),
        ("user,item,rating\n1,1,3\n2,1,3\n", ["2 users", "folds"]),
    ],
)
def test_ratings_that_cannot_be_used(folder: Path, text: str, fragments: list[str]) -> None:
    Path("own.csv").write_text(text, encoding="utf-8")
    done = run("search", "bias", "csv:own.csv", "--no-report")
    assert done.code == 2, done
    assert any(fragment in done.err for fragment in fragments), done.err
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("member", ["../evil.dat", "/etc/evil.dat", "ml-100k/../../evil"])
def test_hostile_archives_are_refused_and_nothing_is_written(folder: Path, member: str) -> None:
    (folder / "archives").mkdir()
    with zipfile.ZipFile(folder / "archives" / "ml-100k.zip", "w") as archive:
        archive.writestr("ml-100k/u.data", "1\t1\t3\t1\n")
        archive.writestr(member, "x")
    done = run("search", "als", "ml100k", "--no-report")
    assert done.code == 2, done
    assert "ml-100k.zip" in done.err
    assert not list(folder.rglob("evil*"))


def test_an_unwritable_store_or_run_is_one_paragraph(folder: Path) -> None:
    write_search(Path("good.toml"))
    Path("file").write_text("")
    for option in ("--store", "--run"):
        done = run("search", "good.toml", "csv:ratings.csv", "--no-report", option, "file/inside")
        assert done.code == 1, done
        assert "file/inside" in done.err
        assert "Traceback" not in done.err


def test_a_folder_that_is_no_store_is_left_alone(folder: Path) -> None:
    write_search(Path("good.toml"))
    Path("papers").mkdir()
    Path("papers/thesis.tex").write_text("\\section{}")
    done = run("search", "good.toml", "csv:ratings.csv", "--no-report", "--store", "papers")
    assert done.code == 1, done
    assert "papers" in done.err
    assert [path.name for path in Path("papers").iterdir()] == ["thesis.tex"]


def test_a_damaged_run_is_refused_and_left_alone(folder: Path) -> None:
    write_search(Path("good.toml"))
    root = Path("runs/good-csv-ratings")
    root.mkdir(parents=True)
    for name, content in (("run.json", "{"), ("journal.ndjson", "nonsense\n")):
        (root / name).write_text(content)
        done = run("search", "good.toml", "csv:ratings.csv", "--no-report")
        assert done.code == 1, done
        assert name in done.err
        assert "--fresh" in done.err
        assert (root / name).read_text() == content
        (root / name).unlink()


def test_a_best_config_that_is_none(folder: Path) -> None:
    for content in ("{", "[]", "{}", json.dumps({"format": 9})):
        Path("c.json").write_text(content)
        done = run("verify", "c.json")
        assert done.code == 2, done
        assert "c.json" in done.err
