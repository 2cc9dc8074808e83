"""``recsearch report``: pages of runs, ready for a paper."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import click

from recsearch.cli.options import json_option, run_path
from recsearch.errors import RecsearchError, UsageError


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
    help="Checkpoint store to name in the page's commands.  [default: none named]",
)
@json_option
def report(runs: tuple[Path, ...], out: Path, store_url: str | None, as_json: bool) -> None:
    """Render the page of each RUN (default: all below runs/) and refresh the index.

    Pages are single files without scripts or requests; trials.csv, epochs.csv and
    best-config.json lie beside them. A run in progress gives the page of what it has so far.
    """
    asked = [run_path(run) for run in runs]
    pages, index, failures = render(asked, out, store_url)
    _tell(pages, index, as_json)
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
    from analysis import render_index, render_run

    known = sorted(path.parent for path in Path("runs").glob("*/run.json"))
    asked = asked or known
    _refuse_clashes([*asked, *known])
    pages, readable, failures = [], [], []
    for run in asked:
        try:
            pages.append(render_run(run, out, store_url))
            readable.append(run)
        except RecsearchError as err:
            if len(asked) == 1:
                raise
            failures.append(f"{run}: {err}")
    others = [run for run in known if run.resolve() not in {r.resolve() for r in asked}]
    readable += [run for run in others if opens(run)]
    return pages, render_index(readable, out), failures


def _refuse_clashes(runs: list[Path]) -> None:
    names = Counter(path.name for path in {run.resolve() for run in runs})
    twice = sorted(name for name, times in names.items() if times > 1)
    if twice:
        raise UsageError(
            f"{twice[0]}: two run folders have this name, and pages are named by folder.",
            hint="Render one of them elsewhere: recsearch report RUN --out DIR",
        )


def opens(run: Path) -> bool:
    """Whether a run that was not asked for can be read; a damaged one is left out with a line."""
    from recsearch.run import RunView

    try:
        RunView.open(run)
    except RecsearchError as err:
        click.echo(f"left out: {err}", err=True)
        return False
    return True


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
