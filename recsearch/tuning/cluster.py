"""A quiet local Ray: started for one search or for several, gone with them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType

from recsearch.allocation import inherit_kept_memory
from recsearch.errors import RecsearchError
from recsearch.interrupt import Interrupt, kill_below
from recsearch.models import Family
from recsearch.models.devices import count_gpus
from recsearch.threads import inherit_one_thread

QUIET: dict[str, str] = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "1000000",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    # Ray's own snapshots of the experiment are not used: the journal and the store are the truth.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
"""What Ray must be told before it is imported to say nothing and to keep nothing of its own."""

OBJECT_STORE_BYTES = 256 * 2**20

POLL_S = 0.1
"""Seconds between two looks at whether to wait on."""


def quieten() -> None:
    """Set Ray's environment. Call before the first ``import ray``."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    inherit_one_thread()
    inherit_kept_memory()
    warnings.filterwarnings("ignore", module=r"ray(\..*)?")
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class LocalCluster:
    """Ray on this machine. It starts in the background: that takes seconds of mere waiting.

    Meanwhile the family and the evaluation prepare themselves here. Worker processes are not warmed
    up: on two cores their imports, all at once, would delay the first trial.

    Args:
        workers: trials at a time, one CPU each.
        data_bytes: size of what trials share, for the object store.
        family: of the models that will be trained.
        interrupt: says whether Ray is left to end with this process, which takes no time.
    """

    def __init__(
        self, workers: int, data_bytes: int, family: Family, interrupt: Interrupt | None = None
    ):
        self._interrupt = interrupt or Interrupt()
        self._workers = workers
        self._store_bytes = max(OBJECT_STORE_BYTES, 4 * data_bytes)
        self._lent_bytes = data_bytes
        self._folder = tempfile.TemporaryDirectory(
            prefix="recsearch-ray-", ignore_cleanup_errors=True
        )
        self._family = family
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="ray-start")
        self._prepared: Future[None] | None = None
        self._started: Future[None] | None = None

    def __enter__(self) -> LocalCluster:
        self._prepared = self._pool.submit(self._prepare)
        self._started = self._pool.submit(self._start)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        starts = self._started is not None and not self._started.done()
        if self._interrupt.at_once or (self._interrupt.asked and starts):
            self._folder.cleanup()
            return
        import ray

        if self._started is not None:
            wait([self._started])
        ray.shutdown()
        # Last: Ray's processes die with the thread that started them.
        self._pool.shutdown()
        self._folder.cleanup()

    def lend(self, workers: int, data_bytes: int, family: Family) -> bool:
        """Serve another search after the one before has ended; False if it needs another Ray.

        Ray keeps what the trials of a search shared for as long as it runs, so room for them ends
        some time.
        """
        alike = workers == self._workers and family.device == self._family.device
        if not alike or self._lent_bytes + 4 * data_bytes > self._store_bytes:
            return False
        self._lent_bytes += data_bytes
        self._family = family
        self._prepared = self._pool.submit(self._prepare)
        return True

    def ready(self) -> Path:
        """Wait until Ray runs; a disposable state folder for one search.

        Raises:
            RecsearchError: it does not start.
            KeyboardInterrupt: a signal came.
        """
        if self._started is None or self._prepared is None:
            raise RuntimeError("the cluster has not been entered")
        while wait([self._prepared, self._started], timeout=POLL_S).not_done:
            self._interrupt.check(in_flight=False)
        self._prepared.result()
        try:
            self._started.result()
        except Exception as err:
            raise RecsearchError(
                f"Ray could not start on this machine: {err}",
                hint="Free memory or processes, then type the same command to resume.",
            ) from err
        return Path(tempfile.mkdtemp(dir=self._folder.name))

    def _prepare(self) -> None:
        """Leave compiled code on disk, which all workers would else compile at once."""
        self._family.prepare()
        import recsearch.evaluation.counting  # noqa: F401

    def _start(self) -> None:
        import ray

        with _deaf_children():
            ray.init(
                # Never a cluster that happens to run: its workers would not have our environment.
                address="local",
                num_cpus=self._workers,
                num_gpus=count_gpus(self._family.device),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                object_store_memory=self._store_bytes,
            )
        _kill_in_place_of_terminate()
        # Tune's import takes a second that is better spent here than after the wait.
        import ray.tune


@contextmanager
def _deaf_children() -> Iterator[None]:
    """What this thread starts does not hear SIGTERM.

    ``timeout``, batch systems and service managers send it to all processes of a command. Without
    Ray's, the epochs that it is to finish would be lost, and Ray would abort this process. (Ray
    itself keeps Ctrl-C from its processes in this way.)
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill_in_place_of_terminate() -> None:
    """Ray's processes end by SIGKILL: for each, Ray would wait a second after SIGTERM in vain.

    Those below them do, too: some would look for their parent for a minute.
    """
    from ray._private import worker

    def end(process: subprocess.Popen[bytes]) -> None:
        kill_below(process.pid)
        process.kill()

    node = getattr(worker, "_global_node", None)
    for started in getattr(node, "all_processes", {}).values():
        for each in started:
            each.process.terminate = partial(end, each.process)


class SharedCluster:
    """One Ray for the searches of a command, one after the other: it takes seconds to start.

    It starts with the first search that needs it, and anew where a search needs another one or has
    failed, so that nothing of one search can be in the way of the next.
    """

    def __init__(self, make: Callable[[int, int, Family], LocalCluster] = LocalCluster):
        self._make = make
        self._cluster: LocalCluster | None = None

    def __enter__(self) -> SharedCluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop Ray if it runs."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.__exit__(None, None, None)

    @contextmanager
    def lend(self, workers: int, data_bytes: int, family: Family) -> Iterator[LocalCluster]:
        """The cluster for one search; arguments as for `LocalCluster`."""
        if self._cluster is None or not self._cluster.lend(workers, data_bytes, family):
            self.close()
            self._cluster = self._make(workers, data_bytes, family).__enter__()
        try:
            yield self._cluster
        except BaseException:
            self.close()
            raise


Clusters = Callable[[int, int, Family], AbstractContextManager[LocalCluster]]
"""What gives a search its cluster, from workers, bytes of data and family."""
