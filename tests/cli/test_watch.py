"""Which runs a watched report renders anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsearch.cli.report import _refuse_clashes
from recsearch.cli.watch import changed_runs, signatures
from recsearch.errors import UsageError


def a_run(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "journal.ndjson").write_text("1\n")
    return folder


class Script:
    """Does one thing at each look, and ends the watch after the last."""

    def __init__(self, *steps):
        self.steps = list(steps)

    def __call__(self):
        if not self.steps:
            raise KeyboardInterrupt
        self.steps.pop(0)()


def watched(runs, seen, script):
    found = []
    with pytest.raises(KeyboardInterrupt):
        for changed in changed_runs(runs, seen, script):
            found.append([run.name for run in changed])
    return found


def test_only_what_has_changed_is_rendered_and_new_runs_are_seen(tmp_path):
    one, two = a_run(tmp_path, "one"), a_run(tmp_path, "two")

    def runs():
        return sorted(path for path in tmp_path.iterdir())

    script = Script(
        lambda: None,
        lambda: (one / "journal.ndjson").write_text("1\n2\n"),
        lambda: (two / "gains.json").write_text("{}"),
        lambda: (two / "other.txt").write_text("of no matter"),
        lambda: a_run(tmp_path, "three"),
        (two / "gains.json").unlink,
    )
    assert watched(runs, signatures(runs()), script) == [["one"], ["two"], ["three"], ["two"]]


def test_what_changes_while_a_page_is_rendered_is_not_missed(tmp_path):
    run = a_run(tmp_path, "run")
    before = signatures([run])
    (run / "journal.ndjson").write_text("1\nclosed\n")
    assert watched(lambda: [run], before, Script(lambda: None)) == [["run"]]


@pytest.mark.parametrize("name", ["data", "compare", "index.html"])
def test_names_of_the_index_are_no_names_of_runs(tmp_path, name):
    with pytest.raises(UsageError, match="where the index has its own files"):
        _refuse_clashes([tmp_path / name])
