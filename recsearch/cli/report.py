"""``recsearch report``: pages of runs, ready for a paper."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsearch.cli.options import json_option, run_path
from recsearch.cli.watch import Signature, changed_runs, signatures
from recsearch.errors import RecsearchError, UsageError
from recsearch.printable import clean_lines

if TYPE_CHECKING:
    from recsearch.run import RunView


RESERVED = frozenset({"compare", "data", "index.html"})
"""What lies beside the pages of runs."""


@click.command()
@click.argument(
    "runs", metavar="[RUN]...", nargs=-1, type=click.Path(path_type=Path, file_okay=False)
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="reports",
    show_default=True,
    help="Folder of the pages; one folder per run and an index.",
)
@click.option(
    "--store",
    "store_url",
    envvar="RECSEARCH_STORE",
    help="Checkpoint store, which commands name then.  [default: the one of each run]",
)
@click.option(
    "--compare",
    is_flag=True,
    help="Write one page that compares the RUNs, instead of a page of each.",
)
@click.option("--watch", is_flag=True, help="Render anew whenever a run has changed, until Ctrl-C.")
@json_option
def report(
    runs: tuple[Path, ...],
    out: Path,
    store_url: str | None,
    compare: bool,
    watch: bool,
    as_json: bool,
) -> None:
    """Render the page of each RUN (default: all below runs/) and refresh the index.

    Pages need no server and no network; trials.csv, epochs.csv, best-config.json and the numbers of
    every figure lie beside them. A run in progress gives the page of what it has so far.
    With the index come a page for each data set, and one for each group of runs that can be
    compared; --compare writes one for the runs of your choice.
    """
    asked = [run_path(run) for run in runs]
    if watch and (as_json or compare):
        raise UsageError("--watch renders pages anew: it goes without --json and --compare.")
    if compare:
        _tell(*render_comparison(asked, out), as_json)
        return
    before = signatures(asked or _known())
    pages, index, failures = render(asked, out, store_url)
    _tell(pages, index, as_json)
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            _watch(asked, before, out, store_url)
    if failures:
        raise RecsearchError("Some runs have no page:\n" + "\n".join(failures))


def render(
    asked: list[Path], out: Path, store_url: str | None
) -> tuple[list[Path], Path, list[str]]:
    """Render the pages of ``asked`` runs (all below runs/ if none) and the index of all.

    Returns:
        The pages, the index, and what went wrong with single runs where several were asked for.

    Raises:
        RecsearchError: the one run that was asked for cannot be read.
    """
    from analysis import render_index
    from analysis.batch import render_runs

    known = _known()
    asked = asked or known
    _refuse_clashes([*asked, *known])
    rendered = render_runs(asked, out, store_url)
    if len(rendered) == 1 and rendered[0].error is not None:
        raise rendered[0].error
    pages = [each.page for each in rendered if each.page is not None]
    readable = [each.run for each in rendered if each.page is not None]
    damaged = {each.run: str(each.error) for each in rendered if each.error is not None}
    failures = [f"{run}: {text}" for run, text in damaged.items()]
    views, left_out = open_runs([*readable, *_others(known, asked)])
    index = render_index(views, out, {run.name: text for run, text in (damaged | left_out).items()})
    return pages, index, failures


def render_comparison(asked: list[Path], out: Path) -> tuple[list[Path], Path]:
    """Render the page that compares ``asked`` runs, and the index of all.

    Raises:
        UsageError: fewer than two runs.
        RecsearchError: one of them cannot be read.
    """
    from analysis import render_comparison as write_comparison
    from analysis import render_index

    known = _known()
    _refuse_clashes([*asked, *known])
    page = write_comparison(asked, out)
    views, damaged = open_runs([*asked, *_others(known, asked)])
    return [page], render_index(views, out, {run.name: text for run, text in damaged.items()})


def _others(known: list[Path], asked: list[Path]) -> list[Path]:
    there = {run.resolve() for run in asked}
    return [run for run in known if run.resolve() not in there]


def _known() -> list[Path]:
    return sorted(path.parent for path in Path("runs").glob("*/run.json"))


def _watch(
    asked: list[Path], before: dict[Path, Signature], out: Path, store_url: str | None
) -> None:
    click.echo("Watching; Ctrl-C ends it.", err=True)
    for changed in changed_runs(lambda: asked or _known(), before):
        try:
            pages, _, failures = render(changed, out, store_url)
        except RecsearchError as err:
            pages, failures = [], [str(err)]
        for page in pages:
            click.echo(str(page))
        for failure in failures:
            click.echo(clean_lines(failure), err=True)


def _refuse_clashes(runs: list[Path]) -> None:
    names = Counter(path.name for path in {run.resolve() for run in runs})
    for taken in sorted(RESERVED & names.keys()):
        raise UsageError(
            f"{taken}: a run folder of this name would lie where the index has its own files.",
            hint="Rename the run folder; nothing in it names it.",
        )
    twice = sorted(name for name, times in names.items() if times > 1)
    if twice:
        raise UsageError(
            f"{twice[0]}: two run folders have this name, and pages are named by folder.",
            hint="Render one of them elsewhere: recsearch report RUN --out DIR",
        )


def open_runs(runs: list[Path]) -> tuple[list[RunView], dict[Path, str]]:
    """Runs for the index, each opened once, and what is wrong with those that cannot be read."""
    found = {run.resolve(): open_or_tell(run) for run in runs}
    views = [view for view in found.values() if not isinstance(view, str)]
    return views, {run: text for run, text in found.items() if isinstance(text, str)}


def opens(run: Path) -> bool:
    """Whether a run can be read; a damaged one is left out with a line."""
    return not isinstance(open_or_tell(run), str)


def open_or_tell(run: Path) -> RunView | str:
    """A run that was not asked for; a damaged one is left out with a line, which is returned."""
    from recsearch.run import RunView

    try:
        return RunView.open(run.resolve())
    except RecsearchError as err:
        click.echo(clean_lines(f"left out: {err}"), err=True)
        return str(err)


def _tell(pages: list[Path], index: Path, as_json: bool) -> None:
    if as_json:
        content = {"pages": [str(page) for page in pages], "index": str(index)}
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    for page in [*pages, index]:
        click.echo(str(page))
    if not pages:
        click.echo(
            "No runs below runs/; only the index was written. Start a search with: "
            "recsearch search",
            err=True,
        )
    elif sys.stderr.isatty():
        click.echo(f"Open {index.resolve().as_uri()}", err=True)
