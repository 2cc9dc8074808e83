"""What every backend promises, on every backend that there is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recsearch.errors import StoreError
from recsearch.store.backend import Backend, open_backend
from recsearch.store.local import LocalBackend
from recsearch.store.memory import MemoryBackend


class BackendContract:
    """Derive, and give a ``backend`` fixture that returns an empty one."""

    def test_returns_what_was_put(self, backend: Backend) -> None:
        assert backend.put_create("a/b/c", [b"12", memoryview(b"345"), b""]) == 5
        assert backend.get("a/b/c") == b"12345"

    def test_an_empty_object_exists(self, backend: Backend) -> None:
        assert backend.put_create("tomb/x", []) == 0
        assert backend.get("tomb/x") == b""
        assert backend.head("tomb/x") is not None

    def test_never_replaces(self, backend: Backend) -> None:
        backend.put_create("x", [b"first"])
        with pytest.raises(FileExistsError):
            backend.put_create("x", [b"second"])
        assert backend.get("x") == b"first"
        assert [e.name for e in backend.list("")] == ["x"]

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [(0, 3, b"012"), (4, 2, b"45"), (8, 9, b"89"), (20, 5, b""), (3, 0, b"")],
    )
    def test_ranges(self, backend: Backend, start: int, length: int, expected: bytes) -> None:
        backend.put_create("x", [b"0123456789"])
        assert backend.get_range("x", start, length) == expected

    def test_absent_objects(self, backend: Backend) -> None:
        assert backend.head("no") is None
        assert backend.head("no/where") is None
        assert list(backend.list("no/")) == []
        backend.delete("no")
        for read in (lambda: backend.get("no"), lambda: backend.get_range("no", 0, 1)):
            with pytest.raises(FileNotFoundError):
                read()

    def test_lists_below_a_prefix(self, backend: Backend) -> None:
        for name in ("p/1", "p/q/2", "pp/3", "r"):
            backend.put_create(name, [name.encode()])
        assert {(e.name, e.size) for e in backend.list("p/")} == {("p/1", 3), ("p/q/2", 5)}
        assert {e.name for e in backend.list("")} == {"p/1", "p/q/2", "pp/3", "r"}

    def test_head_and_list_agree(self, backend: Backend) -> None:
        backend.put_create("p/1", [b"abc"])
        assert list(backend.list("p/")) == [backend.head("p/1")]

    def test_deleted_is_gone_and_may_be_created_again(self, backend: Backend) -> None:
        backend.put_create("p/1", [b"abc"])
        backend.delete("p/1")
        assert backend.head("p/1") is None
        assert list(backend.list("p/")) == []
        backend.put_create("p/1", [b"new"])
        assert backend.get("p/1") == b"new"

    def test_a_failing_source_leaves_nothing(self, backend: Backend) -> None:
        def chunks():
            yield b"half"
            raise ValueError("source")

        with pytest.raises(ValueError, match="source"):
            backend.put_create("p/1", chunks())
        assert list(backend.list("")) == []


class TestLocalBackend(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return LocalBackend(tmp_path / "store")

    def test_syncs_before_the_name_appears_and_the_directory_after(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = LocalBackend(tmp_path / "store")
        backend.put_create("packs/first", [b"x"])
        events: list[str] = []
        link, sync = os.link, os.fsync

        def traced_sync(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            events.append("sync " + ("directory" if path.is_dir() else "file"))
            sync(descriptor)

        def traced_link(source: Path, target: Path) -> None:
            events.append("link")
            link(source, target)

        monkeypatch.setattr(os, "fsync", traced_sync)
        monkeypatch.setattr(os, "link", traced_link)
        backend.put_create("packs/second", [b"x"])
        assert events == ["sync file", "link", "sync directory"]

    def test_a_failure_names_path_and_cause(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(
            StoreError, match=r"cannot write .*file/x/y: (Not a directory|File exists)"
        ):
            LocalBackend(tmp_path / "file").put_create("x/y", [b""])


class TestMemoryBackend(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend("test")


def test_urls(tmp_path: Path) -> None:
    assert open_backend(tmp_path).url == str(tmp_path)
    assert open_backend(str(tmp_path)).url == str(tmp_path)
    assert open_backend(f"file://{tmp_path}/a%20b").url == str(tmp_path / "a b")
    assert open_backend("memory://one") is open_backend("memory://one")
    assert open_backend("memory://one") is not open_backend("memory://two")
    with pytest.raises(StoreError, match="s3://bucket"):
        open_backend("s3://bucket")
