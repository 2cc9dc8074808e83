"""Remote backends when replies are lost, refused, late or cut: the contract holds all the same."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from fault_tools import FaultyProxy, retry_quickly, s3_server, s3_url
from test_store_backend import ExclusiveContract

from recsearch.errors import StoreError
from recsearch.store import Store, remote
from recsearch.store.backend import Backend, open_backend
from recsearch.store.layout import new_ulid


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    retry_quickly(monkeypatch)


ALL = range(10**9)
FIRST = range(1)
FAULTS = {
    "every reply to a put is lost": ("PUT", "lose", ALL),
    "puts are answered 500 but take place": ("PUT", -500, range(2)),
    "the first put is refused": ("PUT", "refuse", FIRST),
    "the first put conflicts with another request": ("PUT", 409, FIRST),
    "the first put is answered 412 by mistake": ("PUT", 412, FIRST),
    "the first two requests are answered 503": ("", 503, range(2)),
    "the first reply to a read is cut": ("GET", "cut", FIRST),
    "the second reply to a read is cut": ("GET", "cut", range(1, 2)),
    "the first reply to a read is lost": ("GET", "lose", FIRST),
    "the first reply to a head is lost": ("HEAD", "lose", FIRST),
    "the first reply to a deletion is cut": ("POST", "cut", FIRST),
    "the first deletion is answered 503": ("POST", 503, FIRST),
    "every put is slow": ("PUT", "slow", ALL),
}
"""Method (all where empty), what is done to it, and to which of such requests for one object."""


class TestS3BehindAFaultyProxy(ExclusiveContract):
    @pytest.fixture(params=FAULTS.values(), ids=FAULTS.keys())
    def backend(self, request: pytest.FixtureRequest) -> Iterator[Backend]:
        spoiled, fault, which = request.param
        seen: Counter[tuple[str, str]] = Counter()

        def decide(method: str, path: str) -> str | int | None:
            seen[method, path] += 1
            hit = method.startswith(spoiled) and seen[method, path] - 1 in which
            return fault if hit else None

        with FaultyProxy(s3_server(), decide) as proxy:
            yield open_backend(s3_url(proxy.address))


class Server:
    """An S3 backend behind a proxy whose fault may be changed, and what was asked of it."""

    def __init__(self, proxy: FaultyProxy, backend: Backend):
        self.backend = backend
        self._proxy = proxy

    def asked(self) -> Counter[str]:
        return Counter(method for method, _ in self._proxy.requests)


@pytest.fixture
def faults() -> dict[str, str | int]:
    """By method; what is done to every such request."""
    return {}


@pytest.fixture
def server(faults: dict[str, str | int]) -> Iterator[Server]:
    with FaultyProxy(s3_server(), lambda method, path: faults.get(method)) as proxy:
        yield Server(proxy, open_backend(s3_url(proxy.address)))


def test_a_lost_reply_is_not_taken_for_a_conflict(
    server: Server, faults: dict[str, str | int]
) -> None:
    faults["PUT"] = "lose"
    server.backend.put_create("x", [b"1"])
    assert server.asked()["HEAD"] == 1
    with pytest.raises(FileExistsError):
        server.backend.put_create("x", [b"2"])
    assert server.backend.get("x") == b"1"


def test_an_outcome_that_cannot_be_learnt_is_an_error(
    server: Server, faults: dict[str, str | int]
) -> None:
    faults |= {"PUT": "lose", "HEAD": 503}
    with pytest.raises(StoreError, match=r"cannot learn who wrote s3://bucket/.*/x: .*503"):
        server.backend.put_create("x", [b"1"])
    requests = 1 + remote.RETRY["max_retries"]
    assert server.asked() == {"PUT": requests, "HEAD": requests * (1 + len(remote.PAUSES_S))}
    faults.clear()
    assert server.backend.get("x") == b"1"


@pytest.mark.parametrize(
    ("fault", "cause"),
    [(503, "503 Service Unavailable"), ("refuse", "HTTP error"), (409, "409 Conflict")],
)
def test_a_put_is_given_up_in_the_end(
    server: Server, faults: dict[str, str | int], fault: str | int, cause: str
) -> None:
    faults["PUT"] = fault
    with pytest.raises(StoreError, match=rf"cannot write s3://bucket/.*/x: .*{cause}"):
        server.backend.put_create("x", [b"1"])
    attempts = len(remote.PAUSES_S) + 1
    assert server.asked()["HEAD"] == attempts
    assert attempts <= server.asked()["PUT"] <= attempts * (1 + remote.RETRY["max_retries"])
    faults.clear()
    assert server.backend.head("x") is None


def test_missing_rights_are_explained_and_not_tried_again(
    server: Server, faults: dict[str, str | int]
) -> None:
    faults |= dict.fromkeys(("PUT", "GET", "HEAD", "POST"), 403)
    backend = server.backend
    operations = (
        lambda: backend.put_create("x", [b""]),
        lambda: backend.head("x"),
        lambda: backend.get("x"),
        lambda: backend.get_range("x", 0, 1),
        lambda: list(backend.list("p/")),
        lambda: backend.delete("x"),
    )
    for operation in operations:
        with pytest.raises(StoreError, match="403") as raised:
            operation()
        assert "AWS_ACCESS_KEY_ID" in str(raised.value.hint) or "list" in raised.value.message
    assert server.asked()["PUT"] == 1


def test_a_deletion_and_a_listing_are_given_up_in_the_end(
    server: Server, faults: dict[str, str | int]
) -> None:
    faults |= {"POST": "refuse", "GET": "cut"}
    with pytest.raises(StoreError, match=r"cannot delete s3://bucket/.*/x"):
        server.backend.delete("x")
    with pytest.raises(StoreError, match=r"cannot list s3://bucket/.*/p/"):
        list(server.backend.list("p/"))
    attempts = len(remote.PAUSES_S) + 1
    assert attempts <= server.asked()["GET"] <= attempts * (1 + remote.RETRY["max_retries"])


def test_a_missing_bucket_is_explained() -> None:
    backend = open_backend(s3_url().replace("bucket", "nowhere"))
    with pytest.raises(StoreError, match=r"cannot write s3://nowhere.*NoSuchBucket\)") as raised:
        backend.put_create("x", [b""])
    assert raised.value.hint == "Create the bucket first, or correct the URL."
    with pytest.raises(StoreError, match=r"cannot list s3://nowhere.*NoSuchBucket\)"):
        list(backend.list("p/"))
    with pytest.raises(StoreError, match="NoSuchBucket"):
        Store.open(backend.url)


def test_a_server_that_is_not_there_is_explained() -> None:
    s3_server()  # for the credentials
    backend = open_backend("s3://bucket/x?endpoint=http://127.0.0.1:9&region=there")
    with pytest.raises(StoreError, match=r"cannot read s3://bucket/x/FORMAT: .*sending request"):
        backend.get("FORMAT")


def test_more_than_one_put_takes_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MAX_PUT", 10)
    assert server.backend.put_create("x", [b"12345", b"67890"]) == 10
    with pytest.raises(StoreError, match="it has 11 bytes, and one put takes at most 10"):
        server.backend.put_create("y", [b"12345", b"678901"])
    assert server.asked()["PUT"] == 1


def test_a_large_request_may_take_longer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    from_url = remote.from_url

    def spy(*args: object, **kwargs: dict[str, object]) -> object:
        asked.append(kwargs["client_options"]["timeout"])
        return from_url(*args, **kwargs)

    monkeypatch.setattr(remote, "from_url", spy)
    monkeypatch.setattr(remote, "_BYTES_PER_MINUTE", 100)
    for size in (99, 100, 1000, 500, 99):
        server.backend.put_create(str(size) + "/" + new_ulid(), [bytes(size)])
    # 99 bytes go by the client that was there already; later sizes by one that allows as much.
    assert asked == [timedelta(minutes=m) for m in (2, 16, 8)]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_is_told_instead_of_hanging(server: Server) -> None:
    server.backend.put_create("x", [b"1"])
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            server.backend.get("x")
        except StoreError as error:
            os.write(write, error.message.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as message:
        assert b"before this process was forked" in message.read()
    os.waitpid(child, 0)
