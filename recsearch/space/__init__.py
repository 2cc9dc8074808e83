"""Parameter domains and the space that they span."""

from recsearch.space.choices import Bool, Choice
from recsearch.space.domain import Domain, DomainError
from recsearch.space.ranges import Float, Int, Scale
from recsearch.space.space import Params, Space
from recsearch.space.tables import domain_from_table, space_from_tables

__all__ = [
    "Bool",
    "Choice",
    "Domain",
    "DomainError",
    "Float",
    "Int",
    "Params",
    "Scale",
    "Space",
    "domain_from_table",
    "space_from_tables",
]
