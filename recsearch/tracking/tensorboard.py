"""TensorBoard: one folder of event files per trial, one scalar per metric, step = epoch.

::

    <run>/tensorboard/trial-0007/events.out.tfevents.<seconds>.<host>.<n>

Written by the writer of tensorboardX, which Ray's own TensorBoard logger uses, too. Beside the
metrics stand ``best/<metric>``, the value of the best epoch at that epoch's step, and once a trial
has ended the records of the HPARAMS tab.

Why nothing is there twice and nothing is missing, wherever a writer is killed: what has been logged
is read back from the files, and known from nowhere else. A record is whole or it is not there: each
carries its length and a checksum, so that a torn one, which only the last of a file can be, is
recognised as TensorBoard itself recognises it. One record holds all metrics of an epoch, and
is flushed to the disk before the next is begun. A new writer never touches the file of a killed
one: it begins the next file of the folder, whose name sorts after all before it, and writes the
(tag, step) pairs that no whole record has.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recsearch.epochs import TrialView
from recsearch.journal import seconds
from recsearch.run import RunView
from recsearch.tracking.tracker import label, measured

FOLDER = "tensorboard"
HPARAMS = "_hparams_/session_start_info"
"""Tag that a trial has in its event files once its parameters are there."""


class TensorBoard:
    """Writes event files below the run folder.

    Args:
        run: whose trials are logged.
    """

    def __init__(self, run: RunView):
        self._run = run
        self._folders: dict[int, _Folder] = {}

    def log(self, trial: TrialView) -> None:
        """Write what the files of the trial lack."""
        root = self._run.path / FOLDER / label(trial)
        folder = self._folders.setdefault(trial.number, _Folder(root))
        for row in trial.epochs:
            folder.write(measured(row.metrics), row.epoch, row.time)
        best = self._run.trial_best(trial)
        if not trial.finished:
            return
        if best is not None:
            # Without metrics the tab would have the trial and could never be told of them.
            values, time = _best(best.metrics), trial.ended or best.time
            folder.write(values, best.epoch, time)
            folder.parameters(trial.params, values, time)
        folder.close()

    def close(self) -> None:
        """Close all files."""
        for folder in self._folders.values():
            folder.close()


class _Folder:
    """The event files of one trial: what is in them, and a writer of the next one."""

    def __init__(self, root: Path):
        self._root = root
        self._files = sorted(root.glob("*tfevents*"), key=_age)
        self._seen = {pair for path in self._files for pair in logged(path)}
        self._writer: Any = None

    def write(self, values: dict[str, float], step: int, time: str) -> None:
        """Write those values whose (tag, step) is not there, in one record."""
        from tensorboardX.proto.summary_pb2 import Summary

        new = {tag: value for tag, value in values.items() if (tag, step) not in self._seen}
        if new:
            found = [Summary.Value(tag=tag, simple_value=value) for tag, value in new.items()]
            self._append(Summary(value=found), step, time)

    def parameters(self, params: dict[str, Any], best: dict[str, float], time: str) -> None:
        """Write the parameters for the HPARAMS tab, unless they are there."""
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.summary import hparams

        if (HPARAMS, 0) not in self._seen:
            parts = hparams({name: _plain(value) for name, value in params.items()}, best)
            self._append(Summary(value=[v for part in parts for v in part.value]), 0, time)

    def close(self) -> None:
        """Close the file, if one is open; a later record begins another one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _append(self, summary: Any, step: int, time: str) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event

        if self._writer is None:
            self._root.mkdir(parents=True, exist_ok=True)
            # Two files of one second would have one name without a number.
            self._writer = EventsWriter(str(self._root / "events"), f".{_next(self._files):04d}")
            self._files = sorted(self._root.glob("*tfevents*"), key=_age)
        self._writer.write_event(Event(wall_time=seconds(time), step=step, summary=summary))
        self._writer.flush()
        self._seen |= {(value.tag, step) for value in summary.value}


def logged(path: Path) -> Iterator[tuple[str, int]]:
    """Every (tag, step) that stands in whole records of an event file, in their order."""
    from tensorboardX.proto.event_pb2 import Event

    for record in records(path):
        event = Event.FromString(record)
        yield from ((value.tag, event.step) for value in event.summary.value)


def records(path: Path) -> Iterator[bytes]:
    """The whole records of a TFRecord file, up to the first that is torn or damaged.

    Each is its length (8 bytes), a masked CRC-32C of that, the content, and a masked CRC-32C of
    the content; see tensorflow/core/lib/io/record_writer.h.
    """
    from tensorboardX.record_writer import masked_crc32c

    data, begin = path.read_bytes(), 0
    while begin + 12 <= len(data):
        head = data[begin : begin + 8]
        length, check = struct.unpack("<QI", data[begin : begin + 12])
        content = data[begin + 12 : begin + 12 + length]
        tail = data[begin + 12 + length : begin + 16 + length]
        if check != masked_crc32c(head) or len(tail) < 4:
            return
        if struct.unpack("<I", tail)[0] != masked_crc32c(content):
            return
        yield content
        begin += 16 + length


def _best(metrics: dict[str, float]) -> dict[str, float]:
    return {f"best/{name}": value for name, value in measured(metrics).items()}


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)


def _number(path: Path) -> int:
    last = path.name.rpartition(".")[2]
    return int(last) if last.isdigit() else 0


def _age(path: Path) -> tuple[int, str]:
    return _number(path), path.name


def _next(files: list[Path]) -> int:
    return max(map(_number, files), default=0) + 1
