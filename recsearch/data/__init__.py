"""Data sets by name, checked and identified, and their splits."""

from recsearch.data.catalogue import DATASETS
from recsearch.data.load import load_dataset
from recsearch.data.splits import SplitSpec, load_split
from recsearch.data.types import Interactions, Ratings, Source, Split

__all__ = [
    "DATASETS",
    "Interactions",
    "Ratings",
    "Source",
    "Split",
    "SplitSpec",
    "load_dataset",
    "load_split",
]
