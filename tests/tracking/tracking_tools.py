"""Runs that are tracked, and readers of what tools were told that share no code with ours."""

from __future__ import annotations

import math
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "analysis"))

from fabricate import Fabricated
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from recsearch.epochs import TrialView
from recsearch.journal import read_events
from recsearch.record import Record
from recsearch.run import RunView
from recsearch.run_paths import RunPaths

RUN_ID = "0123456789abcdef0123456789abcdef"


class Kill(BaseException):
    """What a process does not survive; no tool and no tracker catches it."""


class Tracked(Fabricated):
    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "run_id": RUN_ID}


def three_trials(root: Path) -> Path:
    """Done with its best epoch in the middle, pruned, in error; with NaN, infinity and null."""
    run = Tracked()
    run.opened()
    run.trial(1, {"size": 8, "loss": "bpr", "bias": True, "reg.user": 0.5}, [0.9, 0.7, 0.8],
              extra={"NDCG@10": 0.25})  # fmt: skip
    run.trial(2, {"size": 16}, [0.95], state="pruned", extra={"odd": math.inf, "none": None})
    run.trial(3, {"size": 32}, [1.5, math.nan], state="error", message="<b>RMSE</b> is nan")
    run.closed(5)
    return run.write(root)


def states(root: Path) -> list[TrialView]:
    """Every state that a trial of the run has been in, in the order of the journal."""
    view, found = RunView.open(root), list[TrialView]()
    record = Record(view.objective, view.objectives[1:])
    for event in read_events(RunPaths(root).journal):
        record.apply(event)
        if "trial" in event and (trial := record.trials[event["trial"]]) not in found:
            found.append(trial)
    return found


def journalled(root: Path) -> dict[tuple[int, str, int], float]:
    """(trial, metric, epoch) to value, of all values that are numbers."""
    return {
        (event["trial"], name, event["epoch"]): value
        for event in read_events(RunPaths(root).journal)
        if event["event"] == "epoch"
        for name, value in event["metrics"].items()
        if value is not None
    }


def once(pairs: Any) -> None:
    twice = [pair for pair, count in Counter(pairs).items() if count > 1]
    assert not twice, twice


def crc32c(data: bytes) -> int:
    """Bit by bit, as RFC 3720 defines it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def events(path: Path) -> Iterator[Event]:
    """The events of a file; what is torn must be at its end."""
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8].ljust(8, b"\0"))
        if len(data) < length + 16:
            return
        assert data[8:12] == masked(data[:8])
        content = data[12 : 12 + length]
        assert data[12 + length : 16 + length] == masked(content)
        yield Event.FromString(content)
        data = data[16 + length :]


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """(tag, step, value) of a trial's folder in the order in which TensorBoard reads it."""
    return [
        (value.tag, event.step, value.simple_value)
        for path in sorted(folder.glob("*tfevents*"))
        for event in events(path)
        for value in event.summary.value
        if value.WhichOneof("value") == "simple_value"
    ]


def hparams(folder: Path) -> dict[str, HParamsPluginData]:
    """Tag to content of what the HPARAMS tab reads, each once."""
    found = [
        (value.tag, HParamsPluginData.FromString(value.metadata.plugin_data.content))
        for path in sorted(folder.glob("*tfevents*"))
        for event in events(path)
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "hparams"
    ]
    once(tag for tag, _ in found)
    return dict(found)


def check_tensorboard(root: Path) -> None:
    """Every (metric, epoch) of the journal once, with its value, steps rising, and nothing else."""
    wanted = journalled(root)
    got: dict[tuple[int, str, int], float] = {}
    for folder in (root / "tensorboard").iterdir():
        number = int(folder.name.removeprefix("trial-"))
        found = scalars(folder)
        once((tag, step) for tag, step, _ in found)
        for tag in {tag for tag, _, _ in found}:
            steps = [step for name, step, _ in found if name == tag]
            assert steps == sorted(steps), (folder, tag)
        got |= {(number, t, s): v for t, s, v in found if not t.startswith("best/")}
    assert got.keys() == wanted.keys()
    for pair, value in wanted.items():
        single = struct.unpack("<f", struct.pack("<f", value))[0]
        assert got[pair] == single or (math.isnan(got[pair]) and math.isnan(value)), pair
