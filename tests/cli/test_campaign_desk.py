"""What Ctrl-C does between two searches of a command, and what becomes of lines nobody reads."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "analysis"))

from fabricate import Fabricated

from recsearch.campaign import Ending
from recsearch.campaign_file import Entry
from recsearch.cli import campaign
from recsearch.cli.campaign import Desk, Output
from recsearch.interrupt import Interrupt
from recsearch.settings import Place, Settings


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Of one run that has ended."""
    run = Fabricated()
    run.opened()
    run.trial(1, {"x": 0.5}, [0.9, 0.8])
    run.closed()
    monkeypatch.chdir(tmp_path)
    entry = Entry("als", "ml1m", Settings(), run.write(tmp_path / "runs"))
    return Desk([entry], Place("store"), Output(tmp_path / "table", False, True, True))


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Interrupt() as found:
            yield found
    finally:
        signal.signal(signal.SIGINT, before)


def ending(desk: Desk) -> Ending:
    return Ending(desk._entries[0], "done", 1.0)


@pytest.mark.parametrize(("signals", "whole"), [(0, True), (1, True), (2, False)])
def test_the_first_ctrl_c_waits_for_a_page_and_the_second_does_not(
    desk: Desk, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    signals: int, whole: bool,
) -> None:  # fmt: skip
    rendered: list[Path] = []

    def render(root: Path, store_url: str) -> None:
        for _ in range(signals):
            os.kill(os.getpid(), signal.SIGINT)
        rendered.append(root)

    monkeypatch.setattr(campaign, "render_page", render)
    desk.ended(ending(desk), interrupt)
    assert bool(rendered) == whole
    assert interrupt.asked == signals, "no further search begins if it is not 0"
    (run,) = json.loads((tmp_path / "table" / "summary.json").read_text())["runs"]
    assert (run["state"], run["value"]) == ("done", 0.8)


def test_lines_that_nobody_reads_end_no_campaign(
    desk: Desk, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "broken pipe")

    monkeypatch.setattr("click.echo", lost)
    monkeypatch.setattr(campaign, "render_page", lambda *_: None)
    desk.ended(ending(desk), interrupt)
    desk.close([ending(desk)])
    assert (tmp_path / "table" / "summary.csv").exists()
