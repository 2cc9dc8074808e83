"""Data sets by name, checked and identified, prepared, and their splits."""

from recsearch.data.catalogue import DATASETS
from recsearch.data.load import load_dataset
from recsearch.data.prepare import parse_steps
from recsearch.data.reading import Reading, reading_of_table
from recsearch.data.splits import SplitSpec, load_split, spec_of_table
from recsearch.data.steps import Step, table_of
from recsearch.data.types import Interactions, Ratings, Source, Split

__all__ = [
    "DATASETS",
    "Interactions",
    "Ratings",
    "Reading",
    "Source",
    "Split",
    "SplitSpec",
    "Step",
    "load_dataset",
    "load_split",
    "parse_steps",
    "reading_of_table",
    "spec_of_table",
    "table_of",
]
