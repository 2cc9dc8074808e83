"""Pages of several runs at once: each has its page or its error, by any number of processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fabricate import als_run

from analysis import batch
from analysis.batch import FEW, render_runs
from recsearch.errors import RecsearchError


def test_processes_render_the_bytes_that_one_would(tmp_path):
    runs = [als_run(tmp_path / "runs", trials=6, name=f"r{n}", seed=n) for n in range(FEW + 1)]
    alone = render_runs(runs, tmp_path / "a", processes=1)
    shared = render_runs(runs, tmp_path / "b", processes=2)
    assert [each.run for each in alone] == [each.run for each in shared] == runs
    for one, two in zip(alone, shared, strict=True):
        assert one.error is two.error is None
        assert one.page.read_bytes() == two.page.read_bytes()


def test_a_run_that_cannot_be_read_hinders_no_other(tmp_path):
    good = als_run(tmp_path / "runs", trials=6, name="good")
    bad = als_run(tmp_path / "runs", trials=6, name="bad")
    (bad / "journal.ndjson").write_text('{"event": "epoch"}\n{"event": "x"}\n')
    found = render_runs([bad, good], tmp_path / "reports")
    assert isinstance(found[0].error, RecsearchError)
    assert found[0].page is None
    assert found[1].page == tmp_path / "reports" / "good" / "index.html"


def test_a_mistake_of_ours_is_an_error_of_that_page(tmp_path, monkeypatch):
    run = als_run(tmp_path / "runs", trials=6)

    def broken(*_):
        raise KeyError("gains")

    monkeypatch.setattr(batch, "render_run", broken)
    (found,) = render_runs([run], tmp_path / "reports")
    assert "its page cannot be made: KeyError: 'gains'" in str(found.error)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_an_error(tmp_path):
    run = als_run(tmp_path / "runs", trials=6)
    Path(tmp_path / "reports").mkdir(mode=0o500)
    (found,) = render_runs([run], tmp_path / "reports")
    assert found.error is not None
