"""Searches whose epochs fill a store."""

from __future__ import annotations

from typing import Any

from search_bench import Bench

from recsearch.store import Store

SIZE = 50_000
"""An epoch of a planted model has 200 kB then."""


def search_file(bench: Bench, *, sleep: float = 0.0, **settings: Any) -> None:
    path = bench.search_file(**settings)
    config = f"config = {{ size = {SIZE}, sleep = {sleep} }}\n[search]"
    path.write_text(path.read_text().replace("[search]", config))


def check_best(bench: Bench) -> None:
    checkpoint = bench.result()["checkpoint"]
    with Store.open(bench.folder / "store") as store:
        store.restore(checkpoint["key"], checkpoint["epoch"])
        assert not store.verify().problems
