from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from recsearch.errors import RecsearchError
from recsearch.journal import Journal, read_events


def write(path: Path, count: int) -> None:
    with Journal(path) as journal:
        for trial in range(1, count + 1):
            journal.append("started", trial=trial)


def test_events_come_back_in_order(tmp_path: Path) -> None:
    write(tmp_path / "j", 3)
    assert [event["trial"] for event in read_events(tmp_path / "j")] == [1, 2, 3]
    assert all(event["time"].endswith("Z") for event in read_events(tmp_path / "j"))


def test_a_missing_journal_is_empty(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none") == []


def test_b5_a_torn_last_line_at_any_byte_is_dropped_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path, 2)
    whole = path.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    for cut in range(last + 1, len(whole)):
        path.write_bytes(whole[:cut])
        assert len(read_events(path)) == 1
        with Journal(path) as journal:
            journal.append("started", trial=9)
        events = read_events(path)
        assert [event["event"] for event in events] == ["started", "note", "started"]
        assert f"{cut - last} bytes" in events[1]["text"]


def test_reading_does_not_change_a_torn_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path, 1)
    with path.open("ab") as file:
        file.write(b'{"half')
    before = path.read_bytes()
    read_events(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [b"not json", b"[1]", b'{"event": "unheard-of"}', b'{"event": "started"}', b"\xff\xfe", b"7"],
)
def test_any_other_unreadable_line_is_an_error_naming_it(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j"
    write(path, 2)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + line + b"\n" + lines[1])
    with pytest.raises(RecsearchError, match=r"line 2.*nothing was changed") as caught:
        Journal(path)
    assert "--fresh" in str(caught.value)


def test_an_event_must_have_its_keys(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal, pytest.raises(TypeError, match="rule"):
        journal.append("pruned", trial=1, epoch=2)
    assert read_events(tmp_path / "j") == []


def test_an_append_is_durable_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(handle), real(handle))[1])
    with Journal(tmp_path / "j") as journal:
        before = len(synced)
        journal.append("started", trial=1)
        assert len(synced) == before + 1
        assert json.loads((tmp_path / "j").read_text())["trial"] == 1


def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with Journal(tmp_path / "j") as journal:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(RecsearchError, match="No space left"):
            journal.append("started", trial=1)
