"""The checkpoint store: immutable packs and manifests, addressed by content.

The files and the invariants are described in ``docs/store-format.md``.
"""

from recsearch.store.collect import Collected
from recsearch.store.manifest import Manifest, PartEntry, TensorEntry
from recsearch.store.retention import All, AnyOf, BestAndLast, Policy, Record, parse_policy
from recsearch.store.staged import Saved, Staged
from recsearch.store.store import Store
from recsearch.store.usage import KeyUsage, Usage
from recsearch.store.verify import Hit, Problem, VerifyReport

__all__ = [
    "All",
    "AnyOf",
    "BestAndLast",
    "Collected",
    "Hit",
    "KeyUsage",
    "Manifest",
    "PartEntry",
    "Policy",
    "Problem",
    "Record",
    "Saved",
    "Staged",
    "Store",
    "TensorEntry",
    "Usage",
    "VerifyReport",
    "parse_policy",
]
