"""One file over HTTP, checked, or not at all."""

from __future__ import annotations

import hashlib
import http.client
import queue
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

from recsearch import __version__
from recsearch.errors import DataError

OPEN_SECONDS = 5.0
READ_SECONDS = 30.0
MAX_BYTES = 2 << 30
BLOCK = 1 << 20


class UnreachableError(Exception):
    """The server cannot be reached, or does not have the file."""


def download(url: str, target: Path, sha256: str | None) -> None:
    """Fetch ``url`` into ``target``, which appears only whole and checked.

    Args:
        url: Where the file is published.
        target: Where to put it; its folder is made.
        sha256: What the file must hash to; None accepts any.

    Raises:
        UnreachableError: no answer within ``OPEN_SECONDS``, or an HTTP error.
        DataError: the answer is cut short, too long, or has another digest; nothing is kept.
    """
    response = _opened(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    with response, tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
        partial = Path(folder) / target.name
        with partial.open("wb") as file:
            found = _copied(url, response, file)
        if sha256 is not None and found != sha256:
            raise DataError(
                f"{url} was refused: its SHA-256 is {found}, expected {sha256}. Nothing was kept",
                hint="Try again; if it happens again, the file was changed on its way.",
            )
        partial.replace(target)


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to anything else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith(f"{req.type}://"):
            raise urllib.error.URLError(f"redirected to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opened(url: str) -> Any:
    """The response to a GET. Looking up a name has no timeout of its own, so a thread waits."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        opener = urllib.request.build_opener(_SameScheme)
        request = urllib.request.Request(url, headers={"User-Agent": f"recsearch/{__version__}"})  # noqa: S310 - the URL is from the catalogue
        try:
            answers.put(opener.open(request, timeout=READ_SECONDS))
        except (OSError, ValueError, http.client.HTTPException) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True, name="recsearch-download").start()
    try:
        answer = answers.get(timeout=OPEN_SECONDS)
    except queue.Empty:
        raise UnreachableError(f"no answer within {OPEN_SECONDS:g} seconds") from None
    if isinstance(answer, Exception):
        raise UnreachableError(str(getattr(answer, "reason", None) or answer)) from answer
    return answer


def _copied(url: str, response: Any, file: IO[bytes]) -> str:
    """Copy the body and return its SHA-256."""
    announced = response.headers.get("Content-Length")
    sha = hashlib.sha256()
    size = 0
    try:
        while block := response.read(BLOCK):
            size += len(block)
            if size > MAX_BYTES:
                raise DataError(f"{url} was refused: it is longer than {MAX_BYTES} bytes")
            sha.update(block)
            file.write(block)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{url} broke off after {size} bytes: {error}") from error
    if announced is not None and announced.isdecimal() and int(announced) != size:
        raise DataError(f"{url} broke off: {size} of {announced} bytes arrived; nothing was kept")
    return sha.hexdigest()
