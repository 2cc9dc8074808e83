"""All strategies by the name that tables of results give them."""

from __future__ import annotations

from benchmarks.store.differential import CheckNRun, CheckNRunQuantised, Differential
from benchmarks.store.incrcp import IncrCP, IncrCPBinary, IncrCPMended
from benchmarks.store.incremental import Naive, NaiveDicts
from benchmarks.store.ours import Ours, OursSmall, OursUntold
from benchmarks.store.protocol import Strategy
from benchmarks.store.whole import (
    Distributed,
    SafeTensors,
    SafeTensorsSynced,
    TorchSave,
    TorchSaveSynced,
)

TORCH_SAVE = "torch.save"
TORCH_SAVE_SYNCED = "torch.save + fsync"
DISTRIBUTED = "torch DCP"
NAIVE = "naive rows"
INCRCP_MENDED = "IncrCP mended"
OURS = "recsearch fast"
OURS_SMALL = "recsearch small"
OURS_UNTOLD = "recsearch fast, no ids"

STRATEGIES: dict[str, type[Strategy]] = {
    TORCH_SAVE: TorchSave,
    TORCH_SAVE_SYNCED: TorchSaveSynced,
    DISTRIBUTED: Distributed,
    "safetensors": SafeTensors,
    "safetensors + fsync": SafeTensorsSynced,
    NAIVE: Naive,
    "naive msgpack": NaiveDicts,
    "differential": Differential,
    "Check-N-Run": CheckNRun,
    "Check-N-Run 8-bit (lossy)": CheckNRunQuantised,
    "IncrCP as published": IncrCP,
    INCRCP_MENDED: IncrCPMended,
    "IncrCP mended, binary": IncrCPBinary,
    OURS: Ours,
    OURS_SMALL: OursSmall,
    OURS_UNTOLD: OursUntold,
}
