"""A quiet local Ray: started for one search, gone with it."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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

OBJECT_STORE_BYTES = 512 * 2**20


def quieten() -> None:
    """Set Ray's environment. Call before the first ``import ray``."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    inherit_one_thread()
    warnings.filterwarnings("ignore", module=r"ray(\..*)?")
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def local_cluster(workers: int, data_bytes: int) -> Iterator[Path]:
    """Run Ray on this machine with ``workers`` slots; yields its disposable state folder.

    Args:
        workers: trials at a time, one CPU each.
        data_bytes: size of what trials share, for the object store.
    """
    import ray

    ray.init(
        num_cpus=workers,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        configure_logging=True,
        object_store_memory=max(OBJECT_STORE_BYTES, 4 * data_bytes),
        _system_config={"automatic_object_spilling_enabled": False},
    )
    try:
        with tempfile.TemporaryDirectory(prefix="recsearch-ray-") as folder:
            yield Path(folder)
    finally:
        ray.shutdown()
