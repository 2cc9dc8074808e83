"""A search to be killed, and what is to be left of it."""

from __future__ import annotations

import time
from collections import Counter

import psutil
from search_bench import Bench

from recsearch.store import Store

WORKER_NAMES = ("ray::TrialWorker", "ray::ResourceTr")
"""Ray names a worker process after its class, or after the method at work."""

SETTINGS = {"trials": 4, "max_epochs": 5, "method": "tpe", "scheduler": "asha", "lag": 2}


def slow(bench: Bench) -> None:
    path = bench.search_file(**SETTINGS)
    path.write_text(path.read_text().replace(
        "[search]", "config = { sleep = 0.08 }\n[search]"))  # fmt: skip


def check_whole(bench: Bench) -> None:
    """Exactly the trials asked for, each epoch once, the store clean."""
    assert [e["trial"] for e in bench.events("suggested")] == [1, 2, 3, 4]
    pairs = Counter((e["trial"], e["epoch"]) for e in bench.events("epoch"))
    assert set(pairs.values()) == {1}
    ended = Counter(e["trial"] for kind in ("done", "pruned") for e in bench.events(kind))
    assert ended == Counter({1: 1, 2: 1, 3: 1, 4: 1})
    assert not any(e["cached"] for e in bench.events("epoch"))
    assert not Store.open(bench.folder / "store", create=False).verify().problems


def wait_until_gone(bench: Bench) -> None:
    """Workers of a killed driver end a moment after it."""
    deadline = time.monotonic() + 60
    while any(name.startswith(WORKER_NAMES) for name in _names(bench)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _names(bench: Bench) -> list[str]:
    names = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PLANTED_LOG") == str(bench.log):
                names.append(process.name())
        except psutil.Error:
            continue
    return names


def workers_of(process: object) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)  # type: ignore[attr-defined]
    return [child for child in children if child.name().startswith(WORKER_NAMES)]
