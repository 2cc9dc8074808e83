"""A backend on S3, Google Cloud Storage or Azure: conditional puts that prove who wrote.

Each put says "only if absent". Such a put cannot be repeated blindly: when it takes place and its
reply is lost, its repetition is refused because of the very object that it made. So every put
carries a write-id in the metadata of the object, the same in all its repetitions, and after a
refusal or a lost reply the object itself tells whose it is (icechunk, design document 017).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import from_url

from recsearch.errors import StoreError
from recsearch.store.backend import Buffer, Entry, open_backend
from recsearch.store.layout import new_ulid

if TYPE_CHECKING:
    from obstore.store import ObjectStore, RetryConfig

MAX_PUT = 5000 * 2**20
"""The largest object of one put, in bytes: S3 takes 5 GiB, Azure 5000 MiB."""
PAUSES_S = (0.5, 1.0)
"""Before each repetition, beyond those of obstore, of a request whose outcome is not known."""
PAGE = 1000
"""Entries of a listing that are taken at once."""
RETRY: RetryConfig = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=5),
        "base": 2,
    },
}
"""For every request that the server refuses for the moment, or that it never saw."""

# Letters only: Azure wants an identifier, and some gateways drop names with an underscore.
_WRITE_ID = "recsearchwriteid"
_BYTES_PER_MINUTE = 64 * 2**20
_ENDPOINTS = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT",
    "GOOGLE_BASE_URL",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
)
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_PID = os.getpid()
_T = TypeVar("_T")


class RemoteBackend:
    """Objects in a bucket, below the path of the URL.

    Credentials, region and endpoint come from the environment as in obstore; endpoint and region
    may also be given in the URL: ``s3://bucket/path?endpoint=http://127.0.0.1:9000&region=here``.

    A put is a single request whatever its size, because only a single request can be conditional;
    it holds the object in memory. A request may last a minute and another one per 64 MiB.
    An object is durable when the put returns, whether asked for or not. Listings of the three
    services are strongly consistent. A server that takes no notice of the condition would let
    two processes make one store at the same moment, but nothing worse: no other name is ever
    wanted twice.

    Raises:
        StoreError: the URL or the configuration is wrong.
    """

    def __init__(self, url: str):
        self.url = url
        self._root = url.split("?", 1)[0].rstrip("/")
        scheme, _, rest = url.split("?", 1)[0].partition("://")
        self._target = f"{'gs' if scheme == 'gcs' else scheme}://{rest}"
        self._cloud = {"s3a": "s3", "gcs": "gs"}.get(scheme, scheme)
        if self._cloud not in _CREDENTIALS:
            self._cloud = "az"  # it has more names
        self._config = self._options()
        self._clients: dict[int, ObjectStore] = {}
        self._client()

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        """See :class:`~recsearch.store.backend.Backend`."""
        parts = list(chunks)
        size = sum(len(part) for part in parts)
        if size > MAX_PUT:
            raise StoreError(
                f"cannot write {self._root}/{name}: it has {size} bytes, and one put takes at most "
                f"{MAX_PUT}"
            )
        write_id = new_ulid()
        pauses = iter(PAUSES_S)
        while (failure := self._put(name, parts, size, write_id)) is not None:
            found = self._attributes(name)
            if found is not None:
                if found.get(_WRITE_ID) == write_id:
                    return size
                raise FileExistsError(name)
            if not _pause(pauses):
                raise self._failure("write", name, failure) from failure
        return size

    def get(self, name: str) -> bytes:
        """See :class:`~recsearch.store.backend.Backend`."""
        client = self._client(_BYTES_PER_MINUTE)
        return self._repeat("read", name, lambda: bytes(obstore.get(client, name).bytes()))

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """See :class:`~recsearch.store.backend.Backend`."""
        return bytes(self._range(name, start, length))

    def read_into(self, name: str, start: int, buffer: memoryview) -> int:
        """See :class:`~recsearch.store.backend.Backend`."""
        data = self._range(name, start, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def list(self, prefix: str) -> Iterator[Entry]:
        """See :class:`~recsearch.store.backend.Backend`."""
        pauses, last = iter(PAUSES_S), None
        with self._errors("list", prefix):
            while True:
                pages = obstore.list(self._client(), prefix or None, offset=last, chunk_size=PAGE)
                try:
                    for meta in chain.from_iterable(pages):
                        yield _entry(meta)
                        last = meta["path"]
                    return
                except GenericError:
                    if not _pause(pauses):
                        raise

    def head(self, name: str) -> Entry | None:
        """See :class:`~recsearch.store.backend.Backend`."""
        try:
            return _entry(self._repeat("read", name, lambda: obstore.head(self._client(), name)))
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """See :class:`~recsearch.store.backend.Backend`."""
        with suppress(FileNotFoundError):
            self._repeat("delete", name, lambda: obstore.delete(self._client(), name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return open_backend, (self.url,)

    def _put(
        self, name: str, parts: Sequence[Buffer], size: int, write_id: str
    ) -> BaseError | None:
        """Send one put; None if it took place, else a failure that leaves open whether it did."""
        with self._errors("write", name):
            try:
                obstore.put(
                    self._client(size),
                    name,
                    iter(parts),
                    mode="create",
                    attributes={_WRITE_ID: write_id},
                    use_multipart=False,
                )
            except (AlreadyExistsError, PreconditionError, GenericError) as error:
                return error
            except FileNotFoundError as error:
                raise self._failure("write", name, error) from error
        return None

    def _attributes(self, name: str) -> dict[str, str] | None:
        client = self._client()
        try:
            head = self._repeat(
                "learn who wrote", name, lambda: obstore.get(client, name, options={"head": True})
            )
        except FileNotFoundError:
            return None
        return {str(key).lower(): value for key, value in head.attributes.items()}

    def _range(self, name: str, start: int, length: int) -> memoryview:
        client = self._client(length)

        def read() -> memoryview:
            try:
                return memoryview(obstore.get_range(client, name, start=start, length=length))
            except GenericError:
                # A range that begins at the end or behind it is an error to the servers.
                if start < obstore.head(client, name)["size"]:
                    raise
                return memoryview(b"")

        if length:
            return self._repeat("read", name, read)
        if self.head(name) is None:
            raise FileNotFoundError(name)
        return memoryview(b"")

    def _repeat(self, verb: str, name: str, request: Callable[[], _T]) -> _T:
        """Send a request that does no harm twice, a few times if need be."""
        pauses = iter(PAUSES_S)
        with self._errors(verb, name):
            while True:
                try:
                    return request()
                except GenericError:
                    if not _pause(pauses):
                        raise

    def _client(self, size: int = 0) -> ObjectStore:
        if os.getpid() != _PID:
            raise StoreError(
                f"{self._root} was used before this process was forked, and its connections do not "
                "survive that",
                hint='Start processes with "spawn", or open the store in the child only.',
            )
        minutes = 1 << (size // _BYTES_PER_MINUTE).bit_length()
        if minutes not in self._clients:
            with self._errors("open", ""):
                self._clients[minutes] = from_url(
                    self._target,
                    config=self._config,
                    client_options={
                        "timeout": timedelta(minutes=minutes),
                        "connect_timeout": timedelta(seconds=5),
                        "allow_http": self._plain_http(),
                    },
                    retry_config=RETRY,
                )
        return self._clients[minutes]

    def _options(self) -> Any:
        given = dict(parse_qsl(urlsplit(self.url).query))
        if given.keys() - {"endpoint", "region"}:
            raise StoreError(
                f"{self._root} takes the options endpoint and region, not "
                f"{', '.join(sorted(given.keys() - {'endpoint', 'region'}))}",
                hint=f"Credentials come from the environment: {_CREDENTIALS[self._cloud]}.",
            )
        if self._cloud == "gs" and "endpoint" in given:
            given["base_url"] = given.pop("endpoint")
        return given

    def _plain_http(self) -> bool:
        named = [*self._config.values(), *(os.environ.get(name, "") for name in _ENDPOINTS)]
        return any(value.startswith("http://") for value in named)

    @contextmanager
    def _errors(self, verb: str, name: str) -> Iterator[None]:
        try:
            yield
        except BaseError as error:
            raise self._failure(verb, name, error) from error

    def _failure(self, verb: str, name: str, error: Exception) -> StoreError:
        cause = _cause(error)
        denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
        # 169.254.169.254 is where the machines of a cloud find theirs, and no others.
        if denied or re.search(r"169\.254\.169\.254|must be specified", str(error)):
            hint = f"Credentials come from the environment: {_CREDENTIALS[self._cloud]}."
        elif isinstance(error, FileNotFoundError) or "NoSuchBucket" in cause:
            hint = "Create the bucket first, or correct the URL."
        else:
            hint = "Check the URL and the connection, then try again."
        where = f"{self._root}/{name}" if name else self._root
        return StoreError(f"cannot {verb} {where}: {cause}", hint=hint)


def _pause(pauses: Iterator[float]) -> bool:
    """Wait before the next attempt, if there is to be one."""
    pause = next(pauses, None)
    if pause is None:
        return False
    time.sleep(pause)
    return True


def _entry(meta: Any) -> Entry:
    # Whole seconds, because a head has no more and must agree with a listing.
    return Entry(meta["path"], meta["size"], float(int(meta["last_modified"].timestamp())))


def _cause(error: Exception) -> str:
    """The last clause of obstore's message and the server's own code, without its XML."""
    text = str(error)
    code = re.search(r"<Code>(\w+)</Code>", text)
    reason = re.split(r":?\s*\ufeff?<\?xml|\n", text)[0].rsplit(" - ", 1)[-1]
    return f"{reason} ({code[1]})" if code else reason
