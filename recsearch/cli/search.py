"""``recsearch search``: run or resume a hyperparameter search."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsearch.cli.options import check_volume, program
from recsearch.cli.output import let_go, say
from recsearch.cli.search_options import place_of, search_options, settings_of
from recsearch.cli.words import WORDS, SpacedOptions
from recsearch.errors import RecsearchError, UsageError
from recsearch.printable import clean_lines
from recsearch.urls import command_line

if TYPE_CHECKING:
    from recsearch.interrupt import Interrupt
    from recsearch.request import Request


@click.command(cls=SpacedOptions, spaced={"--data": WORDS})
@click.argument("words", metavar="ALGORITHM [DATASET]", nargs=-1)
@search_options
def search(
    words: tuple[str, ...],
    data: tuple[str, ...],
    every: bool,
    plan: Path | None,
    dry_run: bool,
    as_json: bool,
    summary: Path,
    report: bool,
    quiet: bool,
    verbose: bool,
    **values: Any,
) -> int:
    """Search ALGORITHM's space on DATASET; the same command again resumes.

    ALGORITHM is a name from searches/ (see: recsearch spaces list) or a TOML file. DATASET is a
    name (see: recsearch data list), demo, csv:PATH or parquet:PATH. One word such as als-ml1m,
    as in make search-als-ml1m, stands for both.

    With --data, all words are algorithms, and each is searched on each data set, unattended: what
    goes wrong with one does not stop the others. A table of all comes last; exit code 5 if some
    trials erred or some runs failed.
    """
    check_volume(quiet, verbose)
    from recsearch.settings import build_request
    from recsearch.tuning.cluster import quieten

    settings, place = settings_of(values), place_of(values)
    if plan is not None:
        _alone(words, data, every)
        from recsearch.campaign_file import read_plan

        entries = read_plan(plan, settings)
    else:
        from recsearch.campaign_file import entries_of
        from recsearch.targets import find_targets

        targets = find_targets(words, data, every=every)
        if not targets.many:
            if as_json and not dry_run:
                raise UsageError("--json prints a forecast: it goes with --dry-run.")
            quieten()
            request = build_request(*targets.pairs[0], settings, place, again())
            if dry_run:
                return foretell(request, as_json=as_json)
            return run_one(request, report=report, quiet=quiet, verbose=verbose)
        entries = entries_of(targets.pairs, settings)
    from recsearch.cli.campaign import Output, foretell_many, search_many

    if dry_run:
        return foretell_many(entries, place, as_json=as_json)
    return search_many(entries, place, Output(summary, as_json, report, quiet, verbose))


def _alone(words: tuple[str, ...], data: tuple[str, ...], every: bool) -> None:
    if words or data or every:
        raise UsageError(
            "--plan names searches and data sets itself, so none can be named beside it.",
            hint="Leave out --plan, or the names, --data and --all.",
        )


def foretell(request: Request, *, as_json: bool) -> int:
    """Print what a search would do and what it would take."""
    from recsearch.cli.dry_run import print_forecast
    from recsearch.request import resolve_request
    from recsearch.tuning.forecast import forecast

    found = forecast(resolve_request(request))
    print_forecast(found, request, again("--dry-run", "--json"), as_json=as_json)
    return 0


def run_one(request: Request, *, report: bool, quiet: bool, verbose: bool) -> int:
    """Run one search and print what came out; the exit code."""
    from recsearch.display import make_display
    from recsearch.request import resolve_request
    from recsearch.tuning.driver import run_search

    display = make_display(sys.stderr, quiet=quiet, verbose=verbose)

    def work(interrupt: Interrupt) -> int:
        outcome = run_search(resolve_request(request), display, interrupt=interrupt)
        from recsearch.cli.summary import closing_lines

        root = outcome.paths.root
        page = page_of(root, request.store_url, interrupt) if report else None
        for line in closing_lines(outcome, request, page):
            say(line)
        return outcome.exit_code

    return resumable(request.command, work)


def resumable(command: str, work: Callable[[Interrupt], int]) -> int:
    """Do work that Ctrl-C interrupts; the exit code.

    What is interrupted before there is anything to sum up ends with the command to type.
    """
    from recsearch.interrupt import INTERRUPTED, Interrupt

    with Interrupt() as interrupt:
        try:
            code = work(interrupt)
        except KeyboardInterrupt:
            say("Interrupted.", err=True)
            say(f"next       {command}")
            code = INTERRUPTED
        code = interrupt.leave(code)
    let_go()
    return code


def again(*without: str) -> str:
    """The command that resumes: this one, except that a second --fresh would start over.

    Passwords are left out, as `recsearch.urls.without_secrets` says.
    """
    words = [word for word in sys.argv[1:] if word not in (without or ("--fresh",))]
    return command_line([program(), *words])


def page_of(root: Path, store_url: str, interrupt: Interrupt) -> Path | None:
    """The page of a run whose command has nothing else to do; None once it is interrupted.

    `recsearch report` renders it then: the user wants to leave. How the run has ended is settled
    before, and no signal changes it any more.
    """
    interrupt.close()
    return interrupt.spare(lambda: render_page(root, store_url))


def render_page(root: Path, store_url: str) -> Path | None:
    """The page of the run; a search that is done is not failed by a page that cannot be made."""
    from recsearch.cli.report import render

    try:
        pages, _, failures = render([root], Path("reports"), store_url)
    except (RecsearchError, OSError) as err:
        failures, pages = [str(err)], []
    for failure in failures:
        say(f"no page: {clean_lines(failure)}", err=True)
    return pages[0] if pages else None
