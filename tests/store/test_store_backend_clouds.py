"""Google Cloud Storage and Azure: the contract, against a server that speaks as their manuals say.

The server knows the requests that the store makes and no others: conditional put with metadata,
head, get of a range, list by pages and delete.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from fault_tools import FaultyProxy, retry_quickly
from test_store_backend import ExclusiveContract

from recsearch.store.backend import Backend, open_backend
from recsearch.store.layout import new_ulid

PAGE = 7


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    objects: dict[str, tuple[bytes, dict[str, str], float]]
    lock: threading.Lock
    azure: bool

    def do_PUT(self) -> None:
        body = self._body()
        absent = self.headers.get("If-None-Match" if self.azure else "x-goog-if-generation-match")
        metadata = "x-ms-meta-" if self.azure else "x-goog-meta-"
        kept = {n: v for n, v in self.headers.items() if n.lower().startswith(metadata)}
        with self.lock:
            if self._name() in self.objects and absent == ("*" if self.azure else "0"):
                return self._error(*((409, "BlobAlreadyExists") if self.azure else (412, "Failed")))
            self.objects[self._name()] = (body, kept, time.time())
        return self._reply(201 if self.azure else 200, {"ETag": '"1"', "x-goog-generation": "1"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        query = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        if query:
            return self._list(query)
        if self._name() not in self.objects:
            return self._error(404, "BlobNotFound" if self.azure else "NoSuchKey")
        data, kept, created = self.objects[self._name()]
        headers = kept | {"ETag": '"1"', "Last-Modified": formatdate(created, usegmt=True)}
        if self.headers.get("Range") is None:
            return self._reply(200, headers, data)
        first, last = map(int, re.findall(r"\d+", self.headers["Range"]))
        if first >= len(data):
            return self._error(416, "InvalidRange")
        part = data[first : last + 1]
        headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        return self._reply(206, headers, part)

    def do_DELETE(self) -> None:
        self._body()
        if self.objects.pop(self._name(), None) is None:
            return self._error(404, "NoSuchKey")
        return self._reply(204, {})

    def do_POST(self) -> None:
        found = re.search(rb"DELETE (\S+) HTTP", self._body())
        assert found is not None
        absent = self.objects.pop(unquote(found[1].decode()), None) is None
        status = "404 Not Found" if absent else "202 Accepted"
        part = f"Content-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 {status}\r\n\r\n"
        body = f"--b\r\n{part}\r\n--b--\r\n".encode()
        self._reply(202, {"Content-Type": "multipart/mixed; boundary=b"}, body)

    def log_message(self, *args: object) -> None:
        pass

    def _list(self, query: dict[str, str]) -> None:
        root = unquote(urlsplit(self.path).path) + "/"
        token = query.get("marker" if self.azure else "continuation-token")
        after = token or query.get("start-after") or ""
        names = sorted(name.removeprefix(root) for name in self.objects if name.startswith(root))
        found = [n for n in names if n.startswith(query.get("prefix", "")) and n > after]
        found = [n for n in found if n >= query.get("startFrom", "")]
        page, rest = found[:PAGE], found[PAGE:]
        entries = "".join(self._entry(name, root) for name in page)
        more = page[-1] if rest else ""
        if self.azure:
            text = f"<Blobs>{entries}</Blobs><NextMarker>{more}</NextMarker>"
            text = f"<EnumerationResults>{text}</EnumerationResults>"
        else:
            more = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
            text = f"<ListBucketResult>{entries}{more}</ListBucketResult>"
        self._reply(200, {"Content-Type": "application/xml"}, text.encode())

    def _entry(self, name: str, root: str) -> str:
        data, _, created = self.objects[root + name]
        if self.azure:
            when = f"<Last-Modified>{formatdate(created, usegmt=True)}</Last-Modified>"
            size = f"<Content-Length>{len(data)}</Content-Length><Etag>1</Etag>"
            what = f"{when}{size}<Content-Type>x</Content-Type>"
            return f"<Blob><Name>{name}</Name><Properties>{what}</Properties></Blob>"
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created)) + ".987Z"
        what = f"<LastModified>{when}</LastModified><ETag>1</ETag><Size>{len(data)}</Size>"
        return f"<Contents><Key>{name}</Key>{what}</Contents>"

    def _name(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _error(self, status: int, code: str) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>"
        self._reply(status, {}, text.encode())

    def _reply(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response_only(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def cloud(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str]]:
    """Address and URL (up to the address) of one of the two."""
    state = {"objects": {}, "lock": threading.Lock(), "azure": request.param == "azure"}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), state))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    key = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    key |= {"disable_oauth": True, "gcs_base_url": "http://127.0.0.1:9"}
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(key))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    retry_quickly(monkeypatch)
    where = "az://container" if request.param == "azure" else "gs://bucket"
    yield f"127.0.0.1:{server.server_port}", f"{where}/a/{new_ulid()}?endpoint=http://"
    server.shutdown()
    thread.join()
    server.server_close()


def _at(address: str, url: str) -> Backend:
    return open_backend(url + address + ("/account" if url.startswith("az") else ""))


@pytest.mark.parametrize("cloud", ["google", "azure"], indirect=True)
class TestCloud(ExclusiveContract):
    @pytest.fixture
    def backend(self, cloud: tuple[str, str]) -> Backend:
        return _at(*cloud)


@pytest.mark.parametrize("cloud", ["google", "azure"], indirect=True)
class TestCloudThatLosesReplies(ExclusiveContract):
    @pytest.fixture
    def backend(self, cloud: tuple[str, str]) -> Iterator[Backend]:
        seen: Counter[tuple[str, str]] = Counter()

        def decide(method: str, path: str) -> str | None:
            seen[method, path] += 1
            lost = method == "PUT" or (method != "GET" and seen[method, path] == 1)
            return "lose" if lost else None

        with FaultyProxy(cloud[0], decide) as proxy:
            yield _at(proxy.address, cloud[1])
