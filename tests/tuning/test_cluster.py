"""What the cluster does while Ray starts. No Ray runs here."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from recsearch.errors import RecsearchError, UsageError
from recsearch.models import resolve
from recsearch.tuning.cluster import OBJECT_STORE_BYTES, LocalCluster, SharedCluster
from recsearch.tuning.trials import MOST_SHARING, trial_resources


class Offline(LocalCluster):
    """Ray starts once ``go`` is set, or fails."""

    def __init__(self, family: Any, *, fails: bool = False):
        super().__init__(1, 0, family)
        self.go = threading.Event()
        self._fails = fails

    def _start(self) -> None:
        assert self.go.wait(30)
        if self._fails:
            raise RuntimeError("no memory")


class Prepared:
    """A family that notes where it was prepared."""

    name = "prepared"

    def __init__(self, error: Exception | None = None):
        self.called = threading.Event()
        self.thread: threading.Thread | None = None
        self._error = error

    def prepare(self) -> None:
        self.thread = threading.current_thread()
        self.called.set()
        if self._error:
            raise self._error


def test_the_family_is_prepared_beside_the_start() -> None:
    family = Prepared()
    with Offline(family) as cluster:
        assert family.called.wait(30), "although Ray has not started"
        assert family.thread is not threading.current_thread()
        cluster.go.set()
        assert cluster.ready().is_dir()


def test_what_a_family_raises_is_not_blamed_on_ray() -> None:
    with Offline(Prepared(UsageError("no compiler"))) as cluster:
        cluster.go.set()
        with pytest.raises(UsageError, match="no compiler"):
            cluster.ready()


def test_a_start_that_fails_says_how_to_go_on() -> None:
    with Offline(resolve("popular"), fails=True) as cluster:
        cluster.go.set()
        with pytest.raises(RecsearchError, match=r"Ray could not start.*no memory"):
            cluster.ready()


@pytest.mark.parametrize(
    ("cpus", "gpus", "expected"),
    [
        (2.0, 0.0, {"cpu": 1}),
        (2.0, 1.0, {"cpu": 1, "gpu": 0.5}),
        (3.0, 1.0, {"cpu": 1, "gpu": 0.3333}),
        (64.0, 1.0, {"cpu": 1, "gpu": 1 / MOST_SHARING}),
        (8.0, 4.0, {"cpu": 1, "gpu": 0.5}),
    ],
)
def test_trials_share_gpus_but_not_too_many(
    cpus: float, gpus: float, expected: dict[str, float]
) -> None:
    assert trial_resources({"CPU": cpus, "GPU": gpus}) == expected


class Counted(LocalCluster):
    """A Ray of which only starts and stops are noted."""

    log: list[str]

    def __enter__(self) -> Counted:
        self.log.append("start")
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._pool.shutdown()
        self._folder.cleanup()
        self.log.append("stop")

    def _start(self) -> None:
        pass


@pytest.fixture
def shared() -> SharedCluster:
    Counted.log = []
    return SharedCluster(Counted)


def test_searches_share_one_cluster_and_no_folder(shared: SharedCluster) -> None:
    folders = []
    with shared:
        for name in ("popular", "bias", "popular"):
            with shared.lend(2, 1000, resolve(name)) as cluster:
                folders.append(cluster.ready())
        assert Counted.log == ["start"]
    assert Counted.log == ["start", "stop"]
    assert len(set(folders)) == 3


def test_a_search_that_needs_no_cluster_starts_none(shared: SharedCluster) -> None:
    with shared:
        pass
    assert Counted.log == []


@pytest.mark.parametrize("data_bytes", [OBJECT_STORE_BYTES // 4, 2 * OBJECT_STORE_BYTES])
def test_a_cluster_whose_memory_is_used_up_starts_anew(
    shared: SharedCluster, data_bytes: int
) -> None:
    """Four times the data of the next search must be free beside what was lent before."""
    starts = []
    with shared:
        for _ in range(3):
            with shared.lend(1, data_bytes, resolve("popular")):
                starts.append(Counted.log.count("start"))
    assert starts == [1, 2, 3]


def test_a_failed_search_or_another_number_of_workers_leaves_none_behind(
    shared: SharedCluster,
) -> None:
    with shared:
        with pytest.raises(ZeroDivisionError), shared.lend(1, 0, resolve("popular")):
            raise ZeroDivisionError
        assert Counted.log == ["start", "stop"]
        with shared.lend(1, 0, resolve("popular")):
            pass
        with shared.lend(2, 0, resolve("popular")):
            pass
    assert Counted.log == ["start", "stop"] * 3
