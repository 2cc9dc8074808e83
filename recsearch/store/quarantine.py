"""What cannot be restored is set aside under ``lost/``, so that its place is free again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from recsearch.errors import StoreDamagedError
from recsearch.store.backend import Backend, Entry
from recsearch.store.layout import ManifestName
from recsearch.store.manifest import read_manifest
from recsearch.store.reader import BlobDamagedError, Source, manifest_names, read_tensor
from recsearch.store.survey import kind_of

LOST = "lost/"
_STEP = 8 * 2**20


def set_aside(backend: Backend, name: str, *, dry_run: bool = False) -> list[str]:
    """Move an object below ``lost/``: it appears there before it goes.

    Returns:
        Its new name; nothing where there is no such object.
    """
    entry = backend.head(name)
    if entry is None:
        return []
    if not dry_run:
        chunks = _chunks(backend, entry)
        try:
            first = next(chunks, b"")
        except FileNotFoundError:
            return []  # somebody else has moved or deleted it
        with suppress(FileExistsError):  # an earlier move ended between the two
            backend.put_create(LOST + name, chain((first,), chunks))
        backend.delete(name)
    return [LOST + name]


def quarantine(backend: Backend, key: str, epoch: int) -> list[str]:
    """Set aside the manifests of one epoch that do not restore; see :meth:`Store.quarantine`."""
    source = Source(backend)
    wrong = [n for n in manifest_names(backend, key) if n.epoch == epoch and _fails(source, n)]
    return [new for name in wrong for new in set_aside(backend, name.ref)]


def _fails(source: Source, name: ManifestName) -> bool:
    try:
        for _, tensor in read_manifest(source.backend, name).tensors:
            read_tensor(source, tensor.made_from or tensor)
    except FileNotFoundError:
        return False  # dropped since it was listed
    except StoreDamagedError as error:
        if kind_of(error, "manifest") == "unreadable":
            raise
        return True
    except BlobDamagedError:
        return True
    return False


def _chunks(backend: Backend, entry: Entry) -> Iterator[bytes]:
    for start in range(0, entry.size, _STEP):
        yield backend.get_range(entry.name, start, _STEP)
