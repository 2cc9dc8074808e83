"""What every backend promises, on every backend that there is."""

from __future__ import annotations

import os
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import fsspec
import numpy as np
import pytest
from fault_tools import s3_url
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem

from recsearch.errors import StoreError
from recsearch.store.backend import Backend, Entry, open_backend
from recsearch.store.filesystem import FilesystemBackend
from recsearch.store.layout import new_ulid
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
        [(0, 3, b"012"), (4, 2, b"45"), (8, 9, b"89"), (10, 1, b""), (20, 5, b""), (3, 0, b"")],
    )
    def test_ranges(self, backend: Backend, start: int, length: int, expected: bytes) -> None:
        backend.put_create("x", [b"0123456789"])
        assert backend.get_range("x", start, length) == expected
        buffer = bytearray(b"-" * (length + 1))
        assert backend.read_into("x", start, memoryview(buffer)[:length]) == len(expected)
        assert buffer == expected.ljust(length + 1, b"-")

    def test_reads_into_an_array(self, backend: Backend) -> None:
        expected = np.arange(1000, dtype=np.float64)
        backend.put_create("x", [b"head", memoryview(expected).cast("B")])
        found = np.zeros_like(expected)
        assert backend.read_into("x", 4, memoryview(found).cast("B")) == found.nbytes
        assert found.tobytes() == expected.tobytes()

    def test_an_object_that_need_not_be_durable_is_like_any_other(self, backend: Backend) -> None:
        assert backend.put_create("leases/x", [b"1", b"23"], durable=False) == 3
        with pytest.raises(FileExistsError):
            backend.put_create("leases/x", [b"other"], durable=False)
        assert [e.size for e in backend.list("leases/")] == [3]
        assert backend.get("leases/x") == b"123"

    def test_absent_objects(self, backend: Backend) -> None:
        assert backend.head("no") is None
        assert backend.head("no/where") is None
        assert list(backend.list("no/")) == []
        backend.delete("no")
        reads = (
            lambda: backend.get("no"),
            lambda: backend.get_range("no", 0, 1),
            lambda: backend.get_range("no", 0, 0),
            lambda: backend.read_into("no", 0, memoryview(bytearray(1))),
        )
        for read in reads:
            with pytest.raises(FileNotFoundError):
                read()

    def test_lists_below_a_prefix(self, backend: Backend) -> None:
        for name in ("p/1", "p/q/2", "pp/3", "r"):
            backend.put_create(name, [name.encode()])
        assert {(e.name, e.size) for e in backend.list("p/")} == {("p/1", 3), ("p/q/2", 5)}
        assert {e.name for e in backend.list("")} == {"p/1", "p/q/2", "pp/3", "r"}
        assert list(backend.list("p/1/")) == []

    def test_lists_more_than_a_page(self, backend: Backend) -> None:
        expected = [f"p/{number:02d}" for number in range(20)]
        for name in reversed(expected):
            backend.put_create(name, [b""], durable=False)
        assert sorted(e.name for e in backend.list("p/")) == expected

    def test_tells_when_an_object_was_created(self, backend: Backend) -> None:
        before = time.time()
        backend.put_create("p/1", [b""])
        entry = backend.head("p/1")
        assert entry is not None
        assert before - 1.5 < entry.modified < time.time() + 1.5

    def test_its_url_opens_it_again(self, backend: Backend) -> None:
        backend.put_create("x", [b"1"])
        again = open_backend(backend.url)
        assert (again.url, type(again)) == (backend.url, type(backend))
        assert again.get("x") == b"1"

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


class ExclusiveContract(BackendContract):
    """For all but fsspec: of those that create one name at the same moment, one succeeds."""

    def test_of_many_creators_one_wins(self, backend: Backend) -> None:
        def create(number: int) -> bool:
            try:
                backend.put_create("x", [b"%d" % number])
            except FileExistsError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(create, range(8)))
        assert sum(won) == 1
        assert backend.get("x") == b"%d" % won.index(True)


class TestLocalBackend(ExclusiveContract):
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
        events.clear()
        backend.put_create("leases/third", [b"x"], durable=False)
        assert events == ["link"]
        backend.put_create("leases/fourth", [b"x"])
        # The directory is new to those that must be durable, and so is its entry above.
        assert events[1:] == ["sync directory", "sync file", "link", "sync directory"]

    @pytest.mark.parametrize("most", [1, 3, 4, 7])
    def test_reads_on_where_a_system_call_returns_less(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch, most: int
    ) -> None:
        backend.put_create("x", [b"0123456789"])
        pread, preadv = os.pread, os.preadv
        monkeypatch.setattr(os, "pread", lambda fd, n, start: pread(fd, min(n, most), start))
        monkeypatch.setattr(os, "preadv", lambda fd, b, start: preadv(fd, [b[0][:most]], start))
        assert backend.get_range("x", 1, 8) == b"12345678"
        assert backend.get_range("x", 7, 8) == b"789"
        buffer = bytearray(8)
        assert backend.read_into("x", 1, memoryview(buffer)) == 8
        assert buffer == b"12345678"
        assert backend.read_into("x", 7, memoryview(buffer)) == 3

    def test_a_failure_names_path_and_cause(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(
            StoreError, match=r"cannot write .*file/x/y: (Not a directory|File exists)"
        ):
            LocalBackend(tmp_path / "file").put_create("x/y", [b""])


class TestMemoryBackend(ExclusiveContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend.named(f"test/{new_ulid()}")


class TestFilesystemThatRenames(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
        # Its own scheme, because open_backend takes local files itself.
        fsspec.register_implementation("renaming", LocalFileSystem, clobber=True)
        monkeypatch.setattr(LocalFileSystem, "protocol", ("renaming", "file", "local"))
        return open_backend(f"renaming://{tmp_path}/store")


class TestFilesystemOfWholePuts(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return FilesystemBackend(f"memory://test/{new_ulid()}")

    def test_its_url_opens_it_again(self, backend: Backend) -> None:
        assert repr(backend) == f"FilesystemBackend({backend.url!r})"


class TestS3(ExclusiveContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return open_backend(s3_url())

    def test_a_copy_in_another_process(self, backend: Backend) -> None:
        assert repr(backend) == f"RemoteBackend({backend.url!r})"
        backend.put_create("x", [b"1"])
        assert pickle.loads(pickle.dumps(backend)).get("x") == b"1"  # noqa: S301


def test_urls(tmp_path: Path) -> None:
    assert open_backend(tmp_path).url == str(tmp_path)
    assert open_backend(str(tmp_path)).url == str(tmp_path)
    assert open_backend(f"file://{tmp_path}/a%20b").url == str(tmp_path / "a b")
    assert isinstance(open_backend(f"local://{tmp_path}"), LocalBackend)
    assert open_backend("memory://one") is open_backend("memory://one")
    assert open_backend("memory://one") is not open_backend("memory://two")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nowhere://x", r"'nowhere://x': expected a path, .*, s3://BUCKET"),
        ("simplecache::sftp://host/x", r"no store can be opened at 'simplecache::sftp"),
        ("s3://", r"cannot open s3:"),
        ("az://container/x", r"cannot open az://container/x.*Account(.|\n)*AZURE_STORAGE_ACCOUNT"),
        ("s3://bucket/x?secret_access_key=KEY", r"endpoint and region, not secret_access_key"),
        ("sftp://me:KEY@host/x", r"store on host has a password in it"),
        ("zip://archive.zip", r"half written(.|\n)*use zip://archive.zip\?create=direct"),
    ],
)
def test_a_wrong_url_is_explained(url: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match=message) as raised:
        open_backend(url)
    assert "KEY" not in str(raised.value).replace("AZURE_STORAGE_ACCOUNT_KEY", "").replace(
        "AWS_SECRET_ACCESS_KEY", ""
    ).replace("AWS_ACCESS_KEY_ID", "")


@pytest.mark.parametrize(
    ("url", "module", "package"),
    [
        ("s3://bucket/x", "obstore", "obstore"),
        ("smb://host/x", "smbclient", "smbprotocol"),
        ("oss://bucket/x", "ossfs", "ossfs"),
    ],
)
def test_a_missing_package_is_named(
    url: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for name in ("recsearch.store.remote", "fsspec.implementations.smb"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(StoreError, match=rf"no store can be opened at {url}") as raised:
        open_backend(url)
    assert raised.value.hint == f"pip install {package}"


def test_files_without_a_rename_are_written_directly_when_told_to() -> None:
    class Plain(MemoryFileSystem):
        protocol = "plain"

    fsspec.register_implementation("plain", Plain, clobber=True)
    url = f"plain://{new_ulid()}"
    with pytest.raises(StoreError, match=r"Plain has no rename"):
        open_backend(url)
    backend = open_backend(f"{url}?create=direct")
    backend.put_create("x", [b"1", b"2"])
    assert open_backend(backend.url).get("x") == b"12"


def test_a_failing_file_system_is_a_store_error(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FilesystemBackend(f"memory://test/{new_ulid()}")

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the server hung up")

    for verb in ("pipe_file", "info", "cat_file", "find", "rm_file"):
        monkeypatch.setattr(MemoryFileSystem, verb, fail)
    operations = (
        lambda: backend.put_create("x", [b""]),
        lambda: backend.head("x"),
        lambda: backend.get("x"),
        lambda: backend.get_range("x", 0, 1),
        lambda: backend.list("p/"),
        lambda: backend.delete("x"),
    )
    for operation in operations:
        with pytest.raises(StoreError, match=r"cannot \w+ memory://test/.*: the server hung up"):
            operation()


def test_no_cached_listing_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Caching(LocalFileSystem):
        protocol = "caching"
        cached: ClassVar[dict[str, object]] = {}

        def info(self, path: str, **kwargs: object) -> dict[str, object]:
            if path not in self.cached:
                try:
                    self.cached[path] = super().info(path)
                except FileNotFoundError as error:
                    self.cached[path] = error
            if isinstance(self.cached[path], Exception):
                raise self.cached[path]
            return self.cached[path]

        def invalidate_cache(self, path: str | None = None) -> None:
            self.cached.clear()

    fsspec.register_implementation("caching", Caching, clobber=True)
    backend = open_backend(f"caching://{tmp_path}")
    other = LocalBackend(tmp_path)
    assert backend.head("x") is None
    other.put_create("x", [b"1"])
    assert backend.head("x") is not None
    other.delete("x")
    backend.put_create("x", [b"2"])
    with pytest.raises(FileExistsError):
        backend.put_create("x", [b"3"])


def test_a_file_system_may_refuse_ranges_behind_the_end(tmp_path: Path) -> None:
    class Strict(LocalFileSystem):
        protocol = "strict"

        def cat_file(self, path: str, start: int = 0, end: int | None = None) -> bytes:
            if start >= self.size(path) or end == start:
                raise OSError("416")
            return super().cat_file(path, start, end)

    fsspec.register_implementation("strict", Strict, clobber=True)
    backend = open_backend(f"strict://{tmp_path}")
    backend.put_create("x", [b"0123456789"])
    for start, length, expected in ((8, 9, b"89"), (10, 1, b""), (20, 5, b""), (3, 0, b"")):
        assert backend.get_range("x", start, length) == expected


def test_a_file_that_could_not_be_renamed_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = FilesystemBackend(f"local://{tmp_path}/store")
    backend.put_create("p/1", [b"1"])

    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(LocalFileSystem, "mv", fail)
    with pytest.raises(StoreError, match=r"cannot write .*p/2: disk full"):
        backend.put_create("p/2", [b"2"])
    assert [e.name for e in backend.list("")] == ["p/1"]


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"mtime": 5.5, "created": 1.0}, 5.5),
        ({"LastModified": datetime(1970, 1, 2, tzinfo=UTC)}, 86400.0),
        ({"last_modified": datetime(1970, 1, 2)}, 86400.0),  # noqa: DTZ001
        ({"updated": "1970-01-02T00:00:00Z"}, 86400.0),
    ],
)
def test_times_as_file_systems_give_them(
    info: dict[str, object], expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = info | {"size": 3, "type": "file", "name": "x"}
    monkeypatch.setattr(MemoryFileSystem, "info", lambda self, path: whole)
    assert FilesystemBackend("memory://x").head("x") == Entry("x", 3, expected)
    for key in info:
        del whole[key]
    later = datetime(1970, 1, 3, tzinfo=UTC)
    monkeypatch.setattr(MemoryFileSystem, "modified", lambda self, path: later)
    assert FilesystemBackend("memory://x").head("x") == Entry("x", 3, 2 * 86400.0)
    monkeypatch.setattr(MemoryFileSystem, "modified", AbstractFileSystem.modified)
    entry = FilesystemBackend("memory://x").head("x")
    assert entry is not None
    assert abs(entry.modified - time.time()) < 60
