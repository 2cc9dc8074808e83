"""Real S3 on loopback, a proxy that spoils its replies, and backends that fail, tear and lag."""

from __future__ import annotations

import functools
import itertools
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from recsearch.errors import StoreError
from recsearch.store import remote
from recsearch.store.backend import Backend, Buffer, Entry

_NUMBERS = itertools.count()


@functools.cache
def s3_server() -> str:
    """The address of an S3 server of this process, with an empty bucket ``bucket``."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    os.environ |= {"AWS_REGION": "us-east-1", "MOTO_S3_DEFAULT_MAX_KEYS": "7"}
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    request = urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")
    urllib.request.urlopen(request).close()  # noqa: S310
    return f"{host}:{port}"


def s3_url(address: str | None = None) -> str:
    """A place that no other test has, on the S3 server or on a proxy before it."""
    server = s3_server()
    return f"s3://bucket/stores/{next(_NUMBERS)}?endpoint=http://{address or server}"


def retry_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let remote backends repeat requests as they do, but without waiting for long."""
    backoff = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=5)}
    monkeypatch.setitem(remote.RETRY, "backoff", backoff | {"base": 2})
    monkeypatch.setitem(remote.RETRY, "max_retries", 2)
    monkeypatch.setattr(remote, "PAUSES_S", (0.001, 0.001))
    monkeypatch.setattr(remote, "PAGE", 5)


class FaultyProxy:
    """Stands before a server and does to each request what ``fault`` says of it.

    ``fault`` is called with method and path (without the query), and returns None or one of:
    ``"lose"`` it takes place, but the connection ends without a reply; ``"refuse"`` the connection
    ends and nothing takes place; ``"cut"`` the reply ends in the middle; ``"slow"`` it takes a
    moment; a status: the reply is that, and nothing takes place; minus a status: it takes place,
    but the reply is that.
    """

    def __init__(self, target: str, fault: Callable[[str, str], str | int | None]):
        self._target = target
        self.requests: list[tuple[str, str]] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def handle_one(self) -> None:
                path = self.path.split("?", 1)[0]
                proxy.requests.append((self.command, path))
                proxy._answer(self, fault(self.command, path))

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one  # noqa: N815

            def finish(self) -> None:
                with suppress(OSError):  # the other side has gone, as it should
                    super().finish()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, fault: str | int | None) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if fault == "slow":
            time.sleep(0.01)
        status, headers, content = 0, {}, b""
        if fault != "refuse" and not (isinstance(fault, int) and fault > 0):
            status, headers, content = _forward(self._target, request, body)
        if fault in ("lose", "refuse"):
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
            return
        if isinstance(fault, int):
            status, headers, content = abs(fault), {"Content-Length": "0"}, b""
        request.send_response_only(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        if fault == "cut":
            request.wfile.write(content[: len(content) // 2])
            request.wfile.flush()
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
        elif request.command != "HEAD":
            request.wfile.write(content)


def _forward(
    target: str, request: BaseHTTPRequestHandler, body: bytes
) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection(target)
    connection.request(request.command, request.path, body, dict(request.headers))
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    headers = {n: v for n, v in reply.getheaders() if n.lower() not in ("connection", "server")}
    if request.command != "HEAD":
        headers = {n: v for n, v in headers.items() if n.lower() != "content-length"}
        headers["Content-Length"] = str(len(content))
    return reply.status, headers, content


class FaultyBackend:
    """Does to each operation what ``fault`` says of it, before or after or instead.

    ``fault`` is called with the verb (``put``, ``read``, ``list``, ``head``, ``delete``) and the
    name before the operation takes place, and may delay it. It returns None or one of: ``"fail"``
    nothing takes place and an error is raised; ``"lose"`` it takes place and an error is raised;
    ``"tear"`` a read ends in the middle; ``"flip"`` a read returns one wrong bit.
    """

    def __init__(self, inner: Backend, fault: Callable[[str, str], str | None]):
        self.inner = inner
        self.url = inner.url
        self._fault = fault

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        with self._operation("put", name):
            return self.inner.put_create(name, chunks, durable=durable)

    def get(self, name: str) -> bytes:
        with self._operation("read", name) as fault:
            return _spoil(self.inner.get(name), fault)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        with self._operation("read", name) as fault:
            return _spoil(self.inner.get_range(name, start, length), fault)

    def read_into(self, name: str, start: int, buffer: memoryview) -> int:
        with self._operation("read", name) as fault:
            data = _spoil(self.inner.get_range(name, start, len(buffer)), fault)
            buffer[: len(data)] = data
            return len(data)

    def list(self, prefix: str) -> Iterator[Entry]:
        with self._operation("list", prefix):
            return iter(list(self.inner.list(prefix)))

    def head(self, name: str) -> Entry | None:
        with self._operation("head", name):
            return self.inner.head(name)

    def delete(self, name: str) -> None:
        with self._operation("delete", name):
            self.inner.delete(name)

    @contextmanager
    def _operation(self, verb: str, name: str) -> Iterator[str | None]:
        fault = self._fault(verb, name)
        if fault == "fail":
            raise StoreError(f"cannot {verb} {self.url}/{name}: it failed on purpose")
        yield fault
        if fault == "lose":
            raise StoreError(f"cannot {verb} {self.url}/{name}: its reply was lost on purpose")


def _spoil(data: bytes, fault: str | None) -> bytes:
    if fault == "tear":
        return data[: len(data) // 2]
    if fault == "flip" and data:
        spoiled = bytearray(data)
        spoiled[len(data) // 2] ^= 16
        return bytes(spoiled)
    return data


class World:
    """Objects on a clock of their own, and everything that ever happened to them."""

    def __init__(self) -> None:
        self.now = 1e9
        self._objects: dict[str, tuple[bytes, Entry]] = {}
        self._history: list[tuple[float, str, Entry | None]] = []

    def backend(self, lag_s: Callable[[str], float] = lambda prefix: 0.0) -> LaggingBackend:
        """A view whose listings of a prefix show the objects of ``lag_s(prefix)`` seconds ago."""
        return LaggingBackend(self, lag_s)

    def change(self, name: str, data: bytes | None) -> None:
        self.now += 0.01
        entry = None if data is None else Entry(name, len(data), self.now)
        if data is None or entry is None:
            self._objects.pop(name, None)
        else:
            self._objects[name] = (data, entry)
        self._history.append((self.now, name, entry))

    def find(self, name: str) -> tuple[bytes, Entry] | None:
        return self._objects.get(name)

    def at(self, moment: float) -> dict[str, Entry]:
        """What there was."""
        found: dict[str, Entry] = {}
        for when, name, entry in self._history:
            if when > moment:
                break
            if entry is None:
                found.pop(name, None)
            else:
                found[name] = entry
        return found


class LaggingBackend:
    """Listings lag behind; whole objects are as they are. See :class:`World`."""

    url = "world://"

    def __init__(self, world: World, lag_s: Callable[[str], float]):
        self.world = world
        self._lag_s = lag_s

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        data = b"".join(chunks)
        if self.world.find(name) is not None:
            raise FileExistsError(name)
        self.world.change(name, data)
        return len(data)

    def get(self, name: str) -> bytes:
        found = self.world.find(name)
        if found is None:
            raise FileNotFoundError(name)
        return found[0]

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self.get(name)[start : start + length]

    def read_into(self, name: str, start: int, buffer: memoryview) -> int:
        data = self.get_range(name, start, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def list(self, prefix: str) -> Iterator[Entry]:
        shown = self.world.at(self.world.now - self._lag_s(prefix))
        return iter([entry for name, entry in shown.items() if name.startswith(prefix)])

    def head(self, name: str) -> Entry | None:
        found = self.world.find(name)
        return None if found is None else found[1]

    def delete(self, name: str) -> None:
        self.world.change(name, None)
