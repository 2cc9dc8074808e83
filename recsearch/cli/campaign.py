"""``recsearch search`` with several searches: a line when a run ends, one table at the end."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsearch.campaign import Ending, exit_code, run_campaign
from recsearch.campaign_file import Entry
from recsearch.cli.options import program
from recsearch.cli.output import print_json, say
from recsearch.cli.search import again, render_page, resumable
from recsearch.cli.summary_command import print_summary
from recsearch.display import SilentDisplay, make_display
from recsearch.errors import RecsearchError, UsageError
from recsearch.journal import Event, read_events
from recsearch.printable import clean, clean_lines
from recsearch.request import Request, resolve_request
from recsearch.run import locked, move_aside
from recsearch.run_paths import RunPaths
from recsearch.settings import Place, build_request, whole_grid
from recsearch.spec import search_name
from recsearch.summary import RunSummary, document, summary_of
from recsearch.summary_table import write_summary
from recsearch.units import duration
from recsearch.urls import command_line, without_secrets

if TYPE_CHECKING:
    from recsearch.interrupt import Interrupt
    from recsearch.tuning.cluster import SharedCluster
    from recsearch.tuning.driver import Outcome

PLAIN_LINES = 3
"""Lines of progress of each run where it does not go to a terminal."""


@dataclass(frozen=True)
class Output:
    """What a campaign prints and writes.

    Attributes:
        folder: of ``summary.json`` and ``summary.csv``.
        as_json: whether JSON, and nothing else, is printed.
        report: whether pages are rendered.
        quiet: whether progress is left out.
        verbose: whether every epoch has a line.
    """

    folder: Path
    as_json: bool
    report: bool
    quiet: bool
    verbose: bool = False


def search_many(entries: Sequence[Entry], place: Place, output: Output) -> int:
    """Run all entries unattended; the exit code.

    Raises:
        UsageError: an option for a single run, or nowhere to write the summary.
        RunLockedError: with --fresh, another process works on one of the runs.
    """
    from recsearch.tuning.cluster import LocalCluster, SharedCluster, quieten

    entries = _placed(entries, place)
    quieten()
    desk = Desk(entries, place, output)
    desk.open()
    if place.fresh:
        desk.clear()
        # Once for all: a run that this command has begun is not to be moved when it resumes.
        place = replace(place, fresh=False)

    def work(interrupt: Interrupt) -> int:
        with SharedCluster(partial(LocalCluster, interrupt=interrupt)) as shared:
            endings = run_campaign(
                entries,
                lambda entry: request_of(entry, place),
                lambda request: _run(request, desk, shared, interrupt),
                lambda ending, _: desk.ended(ending, interrupt),
                stop=lambda: interrupt.asked > 0,
            )
            # How it has ended is settled; what Ray takes to end is no reason to lose the table.
            interrupt.close()
        desk.close(endings)
        return exit_code(endings)

    return resumable(again(), work)


def _run(request: Request, desk: Desk, shared: SharedCluster, interrupt: Interrupt) -> Outcome:
    from recsearch.tuning.driver import run_search

    display = desk.begin(request)
    return run_search(resolve_request(request), display, shared.lend, interrupt)


def _placed(entries: Sequence[Entry], place: Place) -> Sequence[Entry]:
    """The entries, in the folder of ``--run`` if there is but one.

    Raises:
        UsageError: there are several.
    """
    if place.run_dir is None:
        return entries
    if len(entries) == 1:
        return [replace(entries[0], folder=place.run_dir)]
    raise UsageError(
        f"--run {place.run_dir}: one folder cannot hold several runs.",
        hint='Name folders in a plan file: [[run]] with folder = "runs/NAME"',
    )


def request_of(entry: Entry, place: Place) -> Request:
    """The request of one entry; errors as for `build_request`."""
    settings = entry.settings
    if entry.whole_grid:
        settings = whole_grid(entry.search, settings)
    there = replace(place, run_dir=entry.folder)
    words = [program(), "search", entry.search, entry.dataset, *settings.arguments()]
    words += ["--run", str(entry.folder)] if entry.folder is not None else []
    words += ["--store", place.store_url] if place.store_url != "store" else []
    return build_request(entry.search, entry.dataset, settings, there, command_line(words))


class Desk:
    """Prints what happens, keeps the summary files, and renders pages.

    Args:
        entries: what the campaign runs.
        place: where the runs work.
        output: what is wanted.
    """

    def __init__(self, entries: Sequence[Entry], place: Place, output: Output):
        self._entries = entries
        self._place = place
        self._output = output
        self._summaries = {entry.root: _summary(Ending(entry)) for entry in entries}
        self._count = 0

    def open(self) -> None:
        """Write the summary as it is, and say at once what cannot run."""
        write_summary(self._output.folder, list(self._summaries.values()))
        for entry in self._entries:
            try:
                request_of(entry, self._place)
            except RecsearchError as err:
                click.echo(f"{_name(entry)} will fail: {without_secrets(err.message)}", err=True)

    def clear(self) -> None:
        """Move all runs aside, or none of them."""
        paths = [RunPaths(entry.root) for entry in self._entries if entry.root.exists()]
        with contextlib.ExitStack() as stack:
            for path in paths:
                stack.enter_context(locked(path))
            for path in paths:
                moved = move_aside(path)
                if moved is not None and not self._output.quiet:
                    click.echo(f"the run that was in {path.root} lies in {moved}", err=True)

    def begin(self, request: Request) -> SilentDisplay:
        """A run begins; what shows it."""
        quiet, verbose = self._output.quiet, self._output.verbose
        if not quiet:
            name = f"{Path(request.spec.source).stem} on {request.dataset}"
            say(f"{name}: {request.run_root}", err=True)
        return make_display(sys.stderr, quiet=quiet, verbose=verbose, lines=PLAIN_LINES)

    def ended(self, ending: Ending, interrupt: Interrupt) -> None:
        """A run has ended: its line, the summary files and its page.

        They are whole before Ctrl-C ends the campaign; a second one does not wait for the page.
        """
        wanted = self._output.report and ending.state in {"done", "errors"}
        with contextlib.suppress(KeyboardInterrupt), interrupt.finishing():
            with interrupt.patient():
                summary = self._take(ending)
            if wanted and not interrupt.at_once:
                self._render(summary)

    def _take(self, ending: Ending) -> RunSummary:
        summary = _summary(ending)
        self._summaries[ending.root] = summary
        self._count += 1
        position = f"[{self._count}/{len(self._entries)}]"
        say(clean(f"{position} {_line(ending, summary)}"), err=self._output.as_json)
        if ending.message:
            say(clean_lines(ending.details or f"Error: {ending.message}"), err=True)
        try:
            write_summary(self._output.folder, list(self._summaries.values()))
        except RecsearchError as err:
            # The runs are worth more than their summary, which the next one writes again.
            say(f"no summary: {err}", err=True)
        return summary

    def close(self, endings: Sequence[Ending]) -> None:
        """The table, where it lies, and the command to type next; lost if nothing reads it."""
        summaries = list(self._summaries.values())
        with contextlib.suppress(OSError):
            if self._output.as_json:
                print_json(document(summaries))
                return
            print_summary(summaries)
            click.echo(f"summary    {self._output.folder / 'summary.csv'}")
            click.echo(f"next       {_next(endings)}")

    def _render(self, summary: RunSummary) -> None:
        root = Path(summary.path)
        page = Path("reports") / summary.run / "index.html"
        if not page.exists() or has_worked(read_events(RunPaths(root).journal)):
            render_page(root, self._place.store_url)


def has_worked(events: Sequence[Event]) -> bool:
    """Whether the last command on a run has done more than to look at it."""
    for event in reversed(events):
        if event["event"] == "opened":
            return False
        if event["event"] not in {"closed", "note"}:
            return True
    return False


def _name(entry: Entry) -> str:
    return f"{search_name(entry.search)} on {entry.dataset}"


def _summary(ending: Ending) -> RunSummary:
    entry, message = ending.entry, ending.message
    if ending.foreign:
        # Nothing of what lies in the folder belongs to this entry.
        name = search_name(entry.search)
        return RunSummary(
            ending.root.name, str(ending.root), name, entry.dataset, ending.state, message=message
        )
    return summary_of(ending.root, entry.search, entry.dataset, ending.state, message)


def _line(ending: Ending, summary: RunSummary) -> str:
    """What a run came to, in one line."""
    parts = [f"{summary.dataset}  {summary.search}"]
    if summary.value is not None:
        parts.append(f"{summary.objective} {summary.value:.5f}")
    if summary.gain is not None:
        parts.append(f"{summary.gain:+.5f} over {summary.baseline}")
    counts = [f"{count} {name}" for name, count in summary.trials.items() if count]
    if counts:
        parts.append(", ".join(counts))
    if ending.state not in {"done", "errors"}:
        parts.append(ending.state)
    return " · ".join([*parts, duration(ending.seconds)])


def _next(endings: Sequence[Ending]) -> str:
    states = [ending.state for ending in endings]
    if exit_code(endings) == 130:
        return again()
    if "failed" in states:
        return f"{again()}  (runs that are finished take no time)"
    if "errors" in states:
        root = endings[states.index("errors")].root
        return f"{program()} status {shlex.quote(str(root))} --failed"
    return f"{program()} summary --md"


def foretell_many(entries: Sequence[Entry], place: Place, *, as_json: bool) -> int:
    """Print what each run would do and what it would take; 5 if some could not run."""
    from recsearch.cli.dry_run import forecast_document, print_forecast
    from recsearch.tuning.cluster import quieten
    from recsearch.tuning.forecast import forecast

    entries = _placed(entries, place)
    quieten()
    documents, failed = [], False
    for entry in entries:
        try:
            request = request_of(entry, place)
            found = forecast(resolve_request(request))
        except RecsearchError as err:
            click.echo(f"{_name(entry)} will fail: {without_secrets(str(err))}", err=True)
            failed = True
            continue
        if as_json:
            documents.append({"run": str(entry.root), **forecast_document(found)})
        else:
            click.echo(f"{_name(entry)}: {entry.root}")
            print_forecast(found, request, request.command, as_json=False)
    if as_json:
        print_json(documents)
    return 5 if failed else 0
