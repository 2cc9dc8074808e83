"""What makes a directory or bucket a store: the file FORMAT, written once."""

from __future__ import annotations

import json
import uuid

from recsearch.errors import StoreError
from recsearch.store.backend import Backend
from recsearch.store.layout import Layout
from recsearch.store.wire import VERSIONS

_FORMAT = {"format": "recsearch-store", "version": 2, "hash": "blake3-256"}


def check_format(backend: Backend, create: bool) -> None:
    """See that there is a store on ``backend``, or make one.

    Raises:
        StoreError: there is none and ``create`` is false, or something else is there.
    """
    try:
        text = backend.get(Layout.FORMAT)
    except FileNotFoundError:
        if not create:
            raise StoreError(
                f"there is no store at {backend.url}",
                hint="Name one with --store or RECSEARCH_STORE.",
            ) from None
        text = _create_format(backend)
    try:
        found = json.loads(text)
        same = found["version"] in VERSIONS and all(
            found[name] == _FORMAT[name] for name in ("format", "hash")
        )
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise StoreError(
            f"{backend.url}/{Layout.FORMAT} does not describe a store of format "
            f"{_FORMAT['version']}; another version of recsearch wrote it, or it is damaged"
        )


def _create_format(backend: Backend) -> bytes:
    foreign = [e.name for e in backend.list("") if not e.name.startswith(Layout.PARTIAL)]
    if foreign and backend.head(Layout.FORMAT) is None:
        raise StoreError(
            f"{backend.url} is not empty (it holds {foreign[0]}) and has no {Layout.FORMAT} file; "
            "a new store needs a directory of its own"
        )
    text = json.dumps(_FORMAT | {"uuid": str(uuid.uuid4())}).encode() + b"\n"
    try:
        backend.put_create(Layout.FORMAT, [text])
    except FileExistsError:
        return backend.get(Layout.FORMAT)
    return text
