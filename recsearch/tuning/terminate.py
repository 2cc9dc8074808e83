"""SIGTERM in the processes that train: they do not hear it, but what they start does."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

_TERMINATE = frozenset({signal.SIGTERM})
_forking = threading.local()


def survive_terminate() -> None:
    """SIGTERM does not end this process, but what it starts.

    It is started with the signal blocked (see `recsearch.tuning.cluster`), and so would all be that
    a model starts: none of it could be terminated. A handler in place of that is no part of what a
    new program inherits; a fork, which inherits it, takes it away before it hears anything.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGTERM, _ignore)
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_hear)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERMINATE)


def _ignore(number: int, frame: FrameType | None) -> None:
    """In place of SIG_IGN, which a new program would inherit."""


def _block() -> None:
    _forking.before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINATE)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.before)


def _hear() -> None:
    if signal.getsignal(signal.SIGTERM) is _ignore:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _unblock()
