"""Processes that run phases: one numerical thread each, and none survives the command."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any

from recsearch.allocation import inherit_kept_memory
from recsearch.threads import inherit_one_thread, use_one_thread

POLL_S = 0.2


class InProcess(Executor):
    """Runs everything at once, here: for one worker, and for debuggers."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The result of calling ``fn``."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as err:  # noqa: BLE001 - the future carries it, as in every executor
            future.set_exception(err)
        return future


@contextmanager
def workers(count: int) -> Iterator[Executor]:
    """``count`` processes; when the block ends early they are stopped in the middle of a phase."""
    if count == 1:
        use_one_thread()
        yield InProcess()
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    inherit_one_thread()
    inherit_kept_memory()
    pool = ProcessPoolExecutor(count, context, _begin, (stop,))
    try:
        yield pool
    except BaseException:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _begin(stop: Event) -> None:
    """In the worker: leave Ctrl-C to the command, and end with it however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_one_thread()
    threading.Thread(target=_watch, args=(stop, os.getppid()), daemon=True).start()


def _watch(stop: Event, parent: int) -> None:
    while not stop.wait(POLL_S):
        if os.getppid() != parent:
            break
    os._exit(1)
