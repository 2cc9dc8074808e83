"""A checked search: what is trained, what is optimised, and over which space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from recsearch.data.splitspec import check_spec
from recsearch.errors import SpecError, UsageError
from recsearch.space import DomainError, Params, Space, domain_from_table
from recsearch.space.words import quote
from recsearch.spec.problem import Origin, parse_section
from recsearch.spec.schema import (
    DOMAIN_TABLES,
    STOP_RULES,
    ConstraintsSection,
    DataSection,
    ModelSection,
    SearchSection,
    SplitSection,
)

if TYPE_CHECKING:
    from recsearch.evaluation import Metric

SECTIONS = ("title", "model", "search", "space", "data")


@dataclass(frozen=True)
class SearchSpec:
    """A search file, checked and complete.

    Attributes:
        title: title of the run's page.
        model: what is trained.
        search: what is optimised, how, and for how long.
        space: parameters by dotted name.
        source: file name, for messages and the run's identity.
        notes: what a file in LensKit's format says that has no effect here, one line each.
        data: how ratings are read, prepared and split.
    """

    title: str
    model: ModelSection
    search: SearchSection
    space: Space
    source: str
    notes: tuple[str, ...] = ()
    data: DataSection = field(default_factory=DataSection)

    @property
    def direction(self) -> Literal["min", "max"]:
        """Whether the objective (the first, of several) is minimised or maximised."""
        return self.objectives[0].direction

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """What is optimised; one metric, unless the search asks for a Pareto front."""
        return objectives_of({"metric": self.search.metric, "objectives": self.search.objectives})

    def configuration(self, params: Params) -> dict[str, Any]:
        """The fixed parameters with ``params`` laid over them, nested as the model nests them."""
        return self.space.merge(self.model.config, params)

    def resolved(self) -> dict[str, Any]:
        """The search with every default filled in, as JSON-able tables.

        Of ``[data]`` only what is not the default: the data set and the split have their own ids.
        """
        data = self.data.model_dump(exclude_defaults=True)
        search = self.search.model_dump(by_alias=True)
        # Only where they say something: runs from before there were any have none recorded.
        search["objectives"] = list(search["objectives"])
        if len(search["objectives"]) < 2:
            del search["objectives"]
        if self.search.constraints == ConstraintsSection():
            del search["constraints"]
        return {
            "title": self.title,
            "model": self.model.model_dump(by_alias=True),
            "search": search,
            "space": self.space.tables(),
            **({"data": data} if data else {}),
        }

    @classmethod
    def from_resolved(cls, document: Mapping[str, Any], source: str = "run.json") -> SearchSpec:
        """The search that `resolved` wrote.

        Raises:
            SpecError: ``document`` is not one.
        """
        return read_document(document, Origin(source))


def objectives_of(search: Mapping[str, Any]) -> tuple[Metric, ...]:
    """The objectives of a ``[search]`` table as `SearchSpec.resolved` writes it."""
    from recsearch.evaluation import parse

    return tuple(parse(name) for name in search.get("objectives") or (search["metric"],))


def read_document(
    document: Mapping[str, Any], origin: Origin, notes: tuple[str, ...] = ()
) -> SearchSpec:
    """Check the tables of a search file.

    Args:
        document: its sections; ``space`` by dotted names or nested.
        origin: where it came from.
        notes: what has been left out on the way.

    Raises:
        SpecError: names file, key, value and what was expected.
    """
    for key in document:
        if key not in SECTIONS:
            raise origin.unknown(key, SECTIONS)
    for key in ("title", "model", "search"):
        if key not in document:
            raise origin.error(
                key, "is missing", "a string" if key == "title" else f"a table [{key}]"
            )
    title = document["title"]
    if not isinstance(title, str) or not title.strip():
        raise origin.error("title", f"{quote(title)} is no title", "a string")
    return SearchSpec(
        title=title,
        model=_read_model(document["model"], origin),
        search=_read_search(document["search"], origin),
        space=_read_space(document.get("space", {}), origin),
        source=origin.file,
        notes=notes,
        data=read_data(document.get("data", {}), origin),
    )


def flatten(tables: Mapping[str, Any], origin: Origin, prefix: str = "") -> dict[str, Any]:
    """Nested space tables by dotted parameter name. A table with a ``type`` is a parameter.

    Raises:
        SpecError: something in the space is no table.
    """
    flat: dict[str, Any] = {}
    for key, table in tables.items():
        name = f"{prefix}{key}"
        if not isinstance(table, Mapping):
            parent = f"space.{prefix}".rstrip(".")
            raise origin.error(
                f"{parent}.{key}",
                f"{quote(table)} is not a table",
                f'a parameter such as {{ type = "float", min = 0.1, max = 1 }}, or {parent}.type',
            )
        if isinstance(table.get("type"), str):
            flat[name] = table
        elif table and not any(isinstance(value, Mapping) for value in table.values()):
            raise origin.error(
                f"space.{name}.type", "is missing", f"one of {', '.join(DOMAIN_TABLES)}"
            )
        else:
            flat |= flatten(table, origin, f"{name}.")
    return flat


def read_data(table: Any, origin: Origin) -> DataSection:
    """Check ``[data]``, as far as that is possible without the data set.

    Raises:
        SpecError: names the key and what was expected.
    """
    if isinstance(table, Mapping) and "split" in table:
        split = parse_section(SplitSection, table["split"], "data.split", origin)
        table = {**table, "split": split}
    section = parse_section(DataSection, table, "data", origin)
    for key, check in (
        ("data.prepare", section.steps),
        ("data.split", lambda: check_spec(section.split.spec())),
    ):
        try:
            check()
        except UsageError as err:
            raise SpecError(f"{origin.of(key)}: {key}: {err.message}", hint=err.hint) from None
    return section


def _read_model(table: Any, origin: Origin) -> ModelSection:
    from recsearch.models import variant_of

    section = parse_section(ModelSection, table, "model", origin)
    name = variant_of(section.class_, section.config)
    return section if name == section.class_ else section.model_copy(update={"class_": name})


def _read_search(table: Any, origin: Origin) -> SearchSection:
    if isinstance(table, Mapping) and "stop" in table:
        table = {**table, "stop": _read_stop(table["stop"], origin)}
    table = _with_objectives(table, origin)
    if isinstance(table, Mapping) and isinstance(table.get("constraints"), Mapping):
        limits = parse_section(
            ConstraintsSection, table["constraints"], "search.constraints", origin
        )
        table = {**table, "constraints": limits}
    section = parse_section(SearchSection, table, "search", origin)
    for key, names in (("metric", section.objectives), ("metrics", section.metrics)):
        for name in names:
            _check_metric(f"search.{key}", name, origin)
    return section


def _with_objectives(table: Any, origin: Origin) -> Any:
    """``metric = ["RMSE", "NDCG@10"]`` as the first of them and all of them."""
    if not isinstance(table, Mapping) or "metric" not in table:
        return table
    metric, recorded = table["metric"], table.get("objectives")
    names = metric if isinstance(metric, list | tuple) else recorded or [metric]
    if not isinstance(names, list | tuple) or not names:
        expected = 'a metric such as "RMSE", or a list such as ["RMSE", "NDCG@10"]'
        raise origin.error("search.metric", f"{quote(names)} does not fit", expected)
    for position, name in enumerate(names):
        if not isinstance(name, str):
            raise origin.error("search.metric", f"{quote(name)} does not fit", "names of metrics")
        if name in names[:position]:
            raise origin.error("search.metric", f"{name} occurs twice", "distinct metrics")
    if recorded and (list(recorded) != list(names) or metric not in (names, names[0])):
        raise origin.error(
            "search.objectives", f"{quote(recorded)} is not what metric says", "no such key"
        )
    return {**table, "metric": names[0], "objectives": tuple(names)}


def _read_stop(table: Any, origin: Origin) -> dict[str, Any]:
    if isinstance(table, str):
        table = {"rule": table}
    if not isinstance(table, Mapping):
        raise origin.error("search.stop", f"{quote(table)} is not a table", '{ rule = "plateau" }')
    rule = table.get("rule", "plateau")
    if rule not in STOP_RULES:
        raise origin.unknown_value("search.stop.rule", rule, STOP_RULES)
    return parse_section(STOP_RULES[rule], table, "search.stop", origin).model_dump()


def _check_metric(key: str, name: str, origin: Origin) -> None:
    from recsearch.evaluation import parse

    try:
        parse(name)
    except UsageError as err:
        raise SpecError(f"{origin.of(key)}: {key}: {err.message}", hint=err.hint) from None


def _read_space(tables: Any, origin: Origin) -> Space:
    if not isinstance(tables, Mapping):
        raise origin.error("space", f"{quote(tables)} is not a table", "a table [space]")
    domains = {
        name: _read_domain(name, table, origin) for name, table in flatten(tables, origin).items()
    }
    try:
        return Space(domains)
    except DomainError as err:
        raise origin.domain_error("space", err) from None


def _read_domain(name: str, table: Mapping[str, Any], origin: Origin) -> Any:
    key, kind = f"space.{name}", table["type"]
    if kind not in DOMAIN_TABLES:
        raise origin.unknown_value(f"{key}.type", kind, DOMAIN_TABLES)
    section = parse_section(DOMAIN_TABLES[kind], table, key, origin)
    try:
        return domain_from_table(section.model_dump())
    except DomainError as err:
        raise origin.domain_error(key, err) from None
