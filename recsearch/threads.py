"""One BLAS thread per trial.

As many trials as cores beat many threads on one trial, and a fixed thread count is part of what
makes a resumed or repeated trial bit-equal.
"""

from __future__ import annotations

import os
import sys

import threadpoolctl

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "LK_NUM_THREADS",
    "LK_NUM_BACKEND_THREADS",
    "RAYON_NUM_THREADS",
)


def inherit_one_thread() -> None:
    """Set the environment from which worker processes will read their thread counts."""
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"


def use_one_thread() -> None:
    """Limit the numerical libraries of this process to one thread, loaded ones included."""
    inherit_one_thread()
    threadpoolctl.threadpool_limits(1)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
