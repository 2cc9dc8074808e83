"""Finding and reading search files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsearch.errors import SpecError, UsageError
from recsearch.space.words import nearest
from recsearch.spec.lenskit import from_lenskit, is_lenskit
from recsearch.spec.overrides import apply_overrides
from recsearch.spec.problem import Origin
from recsearch.spec.search import SearchSpec, flatten, read_document

BUNDLED = Path(__file__).resolve().parents[2] / "searches"
"""The searches that come with the project."""


def load_search(
    path_or_name: str | Path, *, overrides: Mapping[str, Any] | None = None
) -> SearchSpec:
    """Read a search by path or by name.

    Args:
        path_or_name: a TOML file, or a name below ``searches/`` of the current folder or, failing
            that, of the project.
        overrides: values by dotted key, as if the file said so: ``{"search.trials": 20}``.

    Raises:
        UsageError: no such search.
        SpecError: its file names what is wrong.
    """
    path = find_search(path_or_name)
    document = read_toml(path)
    overrides = overrides or {}
    origin = Origin(path.name, frozenset(overrides))
    notes: tuple[str, ...] = ()
    if is_lenskit(document):
        document, notes = from_lenskit(document, path, read_toml)
    if isinstance(document.get("space"), Mapping):
        document = {**document, "space": flatten(document["space"], Origin(path.name))}
    return read_document(apply_overrides(document, overrides, origin), origin, notes)


def find_search(path_or_name: str | Path) -> Path:
    """The file of a search.

    Raises:
        UsageError: there is none; names the nearest and all others.
    """
    path = Path(path_or_name)
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise UsageError(
            f"no search file {path}: expected a TOML file or one of {_names()}",
            hint="recsearch spaces list",
        )
    known = available_searches()
    if path.name not in known:
        raise UsageError(
            f"no search named {path.name!r}{nearest(path.name, known)}: expected a TOML file or "
            f"one of {_names()}",
            hint="recsearch spaces list",
        )
    return known[path.name]


def available_searches() -> dict[str, Path]:
    """Searches by name; those of the current folder come before the project's."""
    found: dict[str, Path] = {}
    for folder in (Path("searches"), BUNDLED):
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file, or a JSON one by its suffix.

    Raises:
        SpecError: it cannot be read; syntax errors have their line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as err:
        raise SpecError(f"{path}: cannot be read: {err.strerror}") from None
    except UnicodeDecodeError as err:
        raise SpecError(f"{path}: byte {err.start} is not UTF-8, expected a text file") from None
    except ValueError as err:
        raise SpecError(f"{path.name}: {err}, expected valid {_format(path)}") from None
    if not isinstance(document, dict):
        raise SpecError(f"{path.name}: holds no tables, expected {_format(path)} with tables")
    return document


def _format(path: Path) -> str:
    return "JSON" if path.suffix == ".json" else "TOML"


def _names() -> str:
    return ", ".join(available_searches()) or "none"
