from __future__ import annotations

import platformdirs
import pytest

from recsearch.data import fetch


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A machine of its own: empty cache, empty search path, no proxy, nothing beside it."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(cache / name))
    monkeypatch.setattr(fetch, "PROJECT", tmp_path / "checkout")
    monkeypatch.setenv("RECSEARCH_DATA", str(tmp_path / "named"))
    monkeypatch.setenv("no_proxy", "*")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path
