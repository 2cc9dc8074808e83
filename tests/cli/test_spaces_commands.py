"""``recsearch spaces``."""

import json

import pytest
from click.testing import CliRunner

from recsearch.cli import cli, main
from recsearch.errors import SpecError


@pytest.fixture
def run():
    def run(*arguments):
        return CliRunner().invoke(cli, ["spaces", *arguments], catch_exceptions=True)

    return run


def test_list_names_the_searches(run):
    result = run("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[:3] == ["name", "title", "metric"]
    assert any(line.split()[:3] == ["als", "ALS", "BiasedMF"] for line in lines)


def test_list_as_json(run):
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert {"als", "als-implicit", "bias", "popular"} <= rows.keys()
    assert rows["als"]["parameters"] == 5
    assert rows["als"]["error"] is None


def test_a_broken_file_does_not_hide_the_others(run, tmp_path, monkeypatch):
    (tmp_path / "searches").mkdir()
    (tmp_path / "searches" / "mine.toml").write_text("[serach]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = run("list")
    assert result.exit_code == 0
    assert "als" in result.stdout
    assert "did you mean search?" in result.stderr


def test_show_prints_the_space(run):
    result = run("show", "als", "--set", "space.embedding_size.max=64")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["parameter", "type", "distribution", "range", "when"] in rows
    assert ["embedding_size", "int", "log-uniform", "4", "…", "64"] in rows
    assert ["objective", "RMSE", "(min)"] in rows


def test_show_as_json_is_the_resolved_search(run):
    document = json.loads(run("show", "bias", "--json").stdout)
    assert document["source"] == "bias.toml"
    assert document["search"]["trials"] == 30
    assert document["space"]["damping.user"]["max"] == 100


def test_show_prints_conditions(run, tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(
        'title = "c"\nmodel.class = "als"\nsearch.metric = "RMSE"\n[space]\n'
        'loss = { type = "choice", choices = ["a", "b"] }\n'
        'x = { type = "bool", when = { loss = "a" } }\n',
        encoding="utf-8",
    )
    assert "loss = a" in run("show", str(path)).stdout


@pytest.mark.parametrize("name", ["als", "als-implicit", "bias", "funksvd", "popular"])
def test_check_accepts_the_bundled_searches(run, name):
    result = run("check", name)
    assert result.exit_code == 0, result.exception
    assert result.stdout.startswith(f"{name}.toml: ok: ")
    assert json.loads(run("check", name, "--json").stdout)["ok"] is True


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("search.trails=3", "did you mean trials?"),
        ("search.scheduler_options.grce=3", "grace"),
        ('space.embeding_size={ type = "int", min = 1, max = 2 }', "embedding_size"),
        ("model.class=alss", "als"),
    ],
)
def test_check_refuses(run, setting, message):
    result = run("check", "als", "--set", setting)
    assert isinstance(result.exception, SpecError)
    assert message in str(result.exception)
    assert str(result.exception).startswith("als.toml")


def test_check_exits_with_2_and_one_paragraph(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["spaces", "check", "als", "--set", "search.trails=3"])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: als.toml, overridden by the command line: search.trails: ")


def test_notes_go_to_stderr(run, tmp_path):
    path = tmp_path / "search.toml"
    path.write_text(
        '[search]\nmetric = "RMSE"\nnum_cpus = 2\n[space.scorer]\n'
        'damping.user = { type = "float", min = 0.1, max = 100, scale = "log" }\n'
        '[pipeline.meta]\nname = "bias"\n[pipeline.components.scorer]\n'
        'class = "lenskit.basic.BiasScorer"\n',
        encoding="utf-8",
    )
    result = run("check", str(path))
    assert result.exit_code == 0, result.exception
    assert "note: search.num_cpus" in result.stderr
    assert "note" not in result.stdout
