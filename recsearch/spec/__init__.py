"""Search files: what they may say, reading them, and whether they fit their model."""

from recsearch.spec.check import check_against_model
from recsearch.spec.files import available_searches, find_search, load_search
from recsearch.spec.lenskit import search_name
from recsearch.spec.overrides import parse_override
from recsearch.spec.schema import describe_schema
from recsearch.spec.search import SearchSpec, objectives_of

__all__ = [
    "SearchSpec",
    "available_searches",
    "check_against_model",
    "describe_schema",
    "find_search",
    "load_search",
    "objectives_of",
    "parse_override",
    "search_name",
]
