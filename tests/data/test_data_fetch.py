"""Finding archives, and downloading them from a server on this machine."""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tinyzips import expect, members_1m, sha256, write_zip

from recsearch.data import DATASETS, download, fetch, load_dataset
from recsearch.errors import DataError, DataNotFoundError, UsageError


@pytest.fixture
def server():
    """Serves ``server.answers``: path to (status, headers, body)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            status, headers, body = self.server.answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.answers, running.asked = {}, []
    running.url = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def published(home, server, monkeypatch):
    """A tiny ml-1m.zip on the server, with its digest in the catalogue."""
    path = write_zip(home / "published" / "ml-1m.zip", members_1m())
    server.answers["/ml-1m.zip"] = (200, {}, path.read_bytes())
    return expect(monkeypatch, "ml1m", url=f"{server.url}/ml-1m.zip", sha256=sha256(path))


def kept(home):
    return [p for p in (home / "cache").rglob("*") if p.is_file() and p.suffix != ".npz"]


def test_download_once(home, server, published):
    ratings = load_dataset("ml1m")
    assert ratings.source.official is True
    assert len(ratings.values) == 5
    assert kept(home) == [home / "cache/recsearch/data/ml-1m.zip"]
    load_dataset("ml1m")
    assert server.asked == ["/ml-1m.zip"]


def test_download_without_known_digest_is_accepted_and_recorded(
    home, server, published, monkeypatch
):
    expect(monkeypatch, "ml1m", url=published.archive.url, sha256=None)
    source = load_dataset("ml1m").source
    assert (source.official, source.sha256) == (None, published.archive.sha256)


def test_other_digest_is_refused(home, server, published, monkeypatch):
    entry = expect(monkeypatch, "ml1m", url=published.archive.url, sha256="0" * 64)
    with pytest.raises(DataError, match="refused") as caught:
        fetch.ensure(entry)
    assert "0" * 64 in caught.value.message
    assert published.archive.sha256 in caught.value.message
    assert kept(home) == []


def test_truncated_download_is_refused(home, server, published):
    status, _, body = server.answers["/ml-1m.zip"]
    server.answers["/ml-1m.zip"] = (status, {"Content-Length": str(len(body) + 100)}, body)
    with pytest.raises(DataError, match="broke off"):
        fetch.ensure(published)
    assert kept(home) == []


def test_endless_download_is_cut(home, server, published, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 10)
    with pytest.raises(DataError, match="longer than 10 bytes"):
        fetch.ensure(published)
    assert kept(home) == []


def test_redirect_is_followed_but_not_to_another_scheme(home, server, published, monkeypatch):
    server.answers["/moved"] = (302, {"Location": f"{server.url}/ml-1m.zip"}, b"")
    entry = expect(monkeypatch, "ml1m", url=f"{server.url}/moved", sha256=published.archive.sha256)
    assert fetch.ensure(entry).sha256 == published.archive.sha256
    (home / "cache/recsearch/data/ml-1m.zip").unlink()
    server.answers["/moved"] = (302, {"Location": "ftp://127.0.0.1/ml-1m.zip"}, b"")
    with pytest.raises(DataNotFoundError, match="redirected to ftp"):
        fetch.ensure(entry)


def test_absent_on_the_server(home, server, published, monkeypatch):
    entry = expect(monkeypatch, "ml1m", url=f"{server.url}/gone.zip")
    with pytest.raises(DataNotFoundError, match="Not Found"):
        fetch.ensure(entry)


def test_offline_error_says_everything(home, monkeypatch):
    def offline(self, request, timeout):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", offline)
    with pytest.raises(DataNotFoundError) as caught:
        load_dataset("ml1m")
    text = str(caught.value)
    assert "https://files.grouplens.org/datasets/movielens/ml-1m.zip" in text
    assert "Name or service not known" in text
    assert "data/ml-1m.zip" in text
    assert "RECSEARCH_DATA" in text
    assert "make search-als-demo" in text
    assert caught.value.exit_code == 2
    assert kept(home) == []


def test_a_hanging_network_is_given_up(home, monkeypatch):
    released = threading.Event()

    def hang(self, request, timeout):
        released.wait(30)
        raise urllib.error.URLError("released")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", hang)
    monkeypatch.setattr(download, "OPEN_SECONDS", 0.05)
    with pytest.raises(DataNotFoundError, match=r"no answer within 0\.05 seconds"):
        load_dataset("ml1m")
    released.set()


def test_no_download_unless_allowed(home, server, published):
    with pytest.raises(DataNotFoundError, match="not to be downloaded") as caught:
        load_dataset("ml1m", allow_download=False)
    assert caught.value.hint == "recsearch data fetch ml1m"
    assert server.asked == []


def test_cache_that_cannot_be_written(home, server, published):
    (home / "cache").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        load_dataset("ml1m")


def test_order_of_the_search_path(home, monkeypatch):
    (home / "checkout").mkdir()
    (home / "checkout" / "pyproject.toml").touch()
    one, two = home / "one", home / "two"
    monkeypatch.setenv("RECSEARCH_DATA", f"{one}{os.pathsep}{two}")
    folders = [
        one,
        two,
        home / "work/data",
        home / "checkout/data",
        home / "shared/data",
        home / "cache/recsearch/data",
    ]
    assert fetch.search_path() == folders
    entry = expect(monkeypatch, "ml1m")
    for folder in reversed(folders):
        path = write_zip(folder / "ml-1m.zip", members_1m())
        assert fetch.locate(entry.archive).path == path


def test_beside_the_checkout_only_when_it_is_one(home, monkeypatch):
    assert home / "checkout/data" not in fetch.search_path()


def test_archive_in_a_folder_of_its_name(home, monkeypatch):
    entry = expect(monkeypatch, "ml1m")
    path = write_zip(home / "named/ml-1m/ml-1m.zip", members_1m())
    assert fetch.locate(entry.archive).path == path
    nearer = write_zip(home / "named/ml-1m.zip", members_1m())
    assert fetch.locate(entry.archive).path == nearer


@pytest.mark.parametrize("spelling", ["ml-1m", "ML1M", "ml_1m", "MovieLens-1M", "movielens 1m"])
def test_spellings(home, monkeypatch, spelling):
    expect(monkeypatch, "ml1m")
    write_zip(home / "named/ml-1m.zip", members_1m())
    assert load_dataset(spelling).source.name == "ml1m"


def test_unknown_name_gets_the_nearest(home):
    with pytest.raises(UsageError, match="ml-latest-small") as caught:
        load_dataset("ml-latest-smal")
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match=r"ml1m.*demo"):
        load_dataset("zzzz")


def test_catalogue_is_complete_and_secure():
    names = ["ml100k", "ml1m", "ml10m", "ml20m", "ml25m", "ml32m", "ml-latest-small"]
    names += ["lastfm", "demo"]
    assert list(DATASETS) == names
    for entry in DATASETS.values():
        if entry.archive is None:
            continue
        folder = "hetrec2011" if entry.name == "lastfm" else "movielens"
        assert (
            entry.archive.url
            == f"https://files.grouplens.org/datasets/{folder}/{entry.archive.file}"
        )
        assert entry.archive.sha256 is None or len(bytes.fromhex(entry.archive.sha256)) == 32
        assert all(count is not None for count in vars(entry.shape).values())
