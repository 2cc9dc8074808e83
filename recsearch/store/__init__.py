"""The checkpoint store: immutable packs and manifests, addressed by content.

The files and the invariants are described in ``docs/store-format.md``.
"""

from recsearch.store.anatomy import Anatomy
from recsearch.store.collect import Collected
from recsearch.store.copying import Copied
from recsearch.store.diff import Diff
from recsearch.store.manifest import Manifest, PartEntry, TensorEntry
from recsearch.store.param_map import ParameterMap
from recsearch.store.remap import PartialReport, Vocabulary
from recsearch.store.repair import RepairReport
from recsearch.store.retention import (
    All,
    AnyOf,
    BestAndLast,
    Policy,
    Record,
    TrialRecords,
    parse_policy,
    parse_retention,
)
from recsearch.store.staged import Saved, Staged
from recsearch.store.store import Store
from recsearch.store.torch_hook import Checkpointer
from recsearch.store.transfer import SUFFIXES, read_file, write_file
from recsearch.store.usage import Share, Usage
from recsearch.store.verify import Hit, Problem, VerifyReport

__all__ = [
    "SUFFIXES",
    "All",
    "Anatomy",
    "AnyOf",
    "BestAndLast",
    "Checkpointer",
    "Collected",
    "Copied",
    "Diff",
    "Hit",
    "Manifest",
    "ParameterMap",
    "PartEntry",
    "PartialReport",
    "Policy",
    "Problem",
    "Record",
    "RepairReport",
    "Saved",
    "Share",
    "Staged",
    "Store",
    "TensorEntry",
    "TrialRecords",
    "Usage",
    "VerifyReport",
    "Vocabulary",
    "parse_policy",
    "parse_retention",
    "read_file",
    "write_file",
]
