"""Pins: checkpoints that stay until somebody says otherwise, as manifests of their own."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from recsearch.errors import StoreDamagedError, UsageError
from recsearch.store.adopt import adopt
from recsearch.store.catalog import Catalog, labels_of
from recsearch.store.manifest import Manifest, read_manifest
from recsearch.store.reader import Source

if TYPE_CHECKING:
    from recsearch.store.keeping import Keeping

PREFIX = "pin:"
"""What the owner of a pin's manifest begins with."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def pin_checkpoint(
    store: Keeping, source: Source, manifest: Manifest, name: str, reason: str
) -> str:
    """Add a manifest of the checkpoint that no retention drops.

    Args:
        store: Where it is.
        source: The same.
        manifest: The checkpoint.
        name: What to call the pin.
        reason: Why, for people.

    Returns:
        The name of the pin's manifest; pinning the same checkpoint again changes nothing.

    Raises:
        UsageError: another checkpoint is pinned under that name.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} cannot be the name of a pin: expected up to 100 letters, digits, dots, "
            "dashes and underscores"
        )
    other = store.pins().get(name)
    if other is not None and (other.key, other.epoch) != (manifest.key, manifest.epoch):
        raise UsageError(
            f"{name} is the pin of {other.where} already",
            hint=f"Choose another --name, or free this one: recsearch store unpin {name}",
        )
    info = {**manifest.info, "owner": PREFIX + name, "retention": "all", "reason": reason}
    return adopt(source, manifest, info)


def unpin(store: Keeping, name: str) -> Manifest:
    """Drop a pin, and return what it was. The checkpoint stays if it has another owner.

    Raises:
        UsageError: there is none of that name; the message lists those that there are.
    """
    pins = store.pins()
    if name not in pins:
        raise UsageError(
            f"nothing in {store.url} is pinned as {name!r}; pins are: {', '.join(pins) or 'none'}",
            hint="recsearch store ls --pins",
        )
    store.drop(pins[name])
    return pins[name]


def all_pins(source: Source, catalog: Catalog) -> dict[str, Manifest]:
    """All pins by name; those that cannot be read are left out, for verify to report."""
    names = catalog.refresh()
    runs = {text: label.get("run", "") for text, label in labels_of(catalog.rows.values()).items()}
    found = {}
    for ref, row in catalog.rows.items():
        name = runs[row.label].removeprefix(PREFIX)
        if name != runs[row.label]:
            with suppress(FileNotFoundError, StoreDamagedError):
                found[name] = read_manifest(source.backend, names[ref])
    return found
