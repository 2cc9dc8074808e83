"""Plan files: many searches, their data sets and their settings, in TOML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from recsearch.errors import SpecError, UsageError
from recsearch.settings import Settings, run_root
from recsearch.spec import available_searches
from recsearch.spec.files import read_toml
from recsearch.spec.problem import Origin, parse_section
from recsearch.targets import Pair

ALL = "all"
"""What stands for every search, in ``searches``."""

Name = Annotated[str, Field(min_length=1)]


class RunTable(Settings):
    """``[[run]]``: one search on one data set, with settings of its own."""

    search: Name
    """Name or file of a search."""
    data: Name
    """Name of a data set."""
    folder: Name | None = None
    """Run folder; by default named by search, data set and settings, below ``runs/``."""


class PlanTable(Settings):
    """A plan: ``searches`` on ``data``, and ``[[run]]`` tables; other keys are common settings."""

    searches: list[Name] = Field(default=[])
    """Names or files of searches; ``all`` for every one that can be named."""
    data: list[Name] = Field(default=[])
    """Names of data sets: every search is run on each."""
    run: list[dict[str, Any]] = Field(default=[])
    """Single runs. One whose search and data set are among those above replaces them there."""


@dataclass(frozen=True)
class Entry:
    """One run of a campaign.

    Attributes:
        search: name or file of the search.
        dataset: name of the data set.
        settings: what differs from the search file.
        folder: run folder, None for the usual one.
        whole_grid: whether its number of trials is one for all, so that grids are not cut by it.
    """

    search: str
    dataset: str
    settings: Settings
    folder: Path | None = None
    whole_grid: bool = True

    @property
    def root(self) -> Path:
        """The run folder."""
        return run_root(self.search, self.dataset, self.settings, self.folder)


def entries_of(pairs: Sequence[Pair], settings: Settings) -> list[Entry]:
    """One run for each pair, with the same settings.

    Raises:
        UsageError: two of them would share a run folder.
    """
    entries = [Entry(search, dataset, settings) for search, dataset in pairs]
    _check_apart(entries)
    return entries


def read_plan(path: Path, settings: Settings) -> list[Entry]:
    """The runs of a plan file.

    Args:
        path: the file.
        settings: of the command line; they come before those of the plan, and a run's own before
            the common ones.

    Raises:
        SpecError: names file, key, value and what was expected.
        UsageError: two runs would share a folder.
    """
    origin = Origin(path.name)
    table = parse_section(PlanTable, read_toml(path), "", origin)
    runs = [
        parse_section(RunTable, run, f"run.{number}", origin)
        for number, run in enumerate(table.run, start=1)
    ]
    common = settings.over(_settings(table))
    entries = [
        entry
        for pair in _pairs(table, origin)
        for entry in _named(pair, runs, settings, common) or [Entry(*pair, common)]
    ]
    pairs = {(entry.search, entry.dataset) for entry in entries}
    for pair in dict.fromkeys((run.search, run.data) for run in runs):
        if pair not in pairs:
            entries += _named(pair, runs, settings, common)
    if not entries:
        raise SpecError(
            f"{path.name}: plans no run, expected searches and data, or [[run]] tables",
            hint='For example: searches = ["all"] and data = ["ml100k"]',
        )
    _check_apart(entries)
    return entries


def _pairs(table: PlanTable, origin: Origin) -> Iterator[Pair]:
    for key, other in (("searches", "data"), ("data", "searches")):
        if getattr(table, key) and not getattr(table, other):
            raise origin.error(other, "is empty", f"names, since {key} has some")
    searches = [
        name
        for word in table.searches
        for name in (available_searches() if word == ALL else [word])
    ]
    yield from dict.fromkeys((search, data) for data in table.data for search in searches)


def _named(
    pair: Pair, runs: Sequence[RunTable], settings: Settings, common: Settings
) -> list[Entry]:
    """The runs that are tables of their own for a pair."""
    return [
        Entry(
            *pair,
            settings.over(_settings(run)).over(common),
            None if run.folder is None else Path(run.folder),
            whole_grid=run.trials is None,
        )
        for run in runs
        if (run.search, run.data) == pair
    ]


def _settings(table: Settings) -> Settings:
    """The settings of a table, without its other keys."""
    names = set(Settings.model_fields)
    found = table.model_dump(by_alias=True, exclude_none=True, include=names)
    return Settings.model_validate(found)


def _check_apart(entries: Sequence[Entry]) -> None:
    """Refuse a campaign in which a run would find another one in its folder."""
    seen: dict[Path, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.root.resolve(), entry)
        if other is not entry:
            raise UsageError(
                f"{entry.search} on {entry.dataset} and {other.search} on {other.dataset} would "
                f"share the run folder {entry.root}.",
                hint="Give one of them a folder of its own in a plan file: [[run]] with folder = "
                '"runs/NAME"',
            )
