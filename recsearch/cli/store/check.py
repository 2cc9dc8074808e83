"""``recsearch store verify | repair``: what is damaged, and what can be mended."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from recsearch.cli.options import json_option, store_option
from recsearch.cli.output import print_json
from recsearch.cli.store.address import open_store, suggest
from recsearch.cli.store.words import size
from recsearch.errors import StoreDamagedError, UsageError
from recsearch.printable import clean_lines

if TYPE_CHECKING:
    from recsearch.store import Hit, Problem, RepairReport, VerifyReport
    from recsearch.store.survey import Level


@click.command()
@click.option("--structure", is_flag=True, help="See that all that is referred to is there.")
@click.option(
    "--data",
    is_flag=False,
    flag_value="100%",
    metavar="[N%]",
    help="Compare all stored bytes with their hashes, or N % of them.  [default]",
)
@click.option("--restore", is_flag=True, help="Also decode every array of every checkpoint.")
@click.option("--seed", type=click.IntRange(0), help="With N%: look at the same bytes again.")
@store_option
@json_option
def verify(
    structure: bool,
    data: str | None,
    restore: bool,
    seed: int | None,
    store_url: str,
    as_json: bool,
) -> None:
    """Look for damage; say what is damaged, which checkpoints it hits and what to do about it.

    Exit code 4 if anything is damaged.
    """
    if structure + restore + (data is not None) > 1:
        raise click.UsageError("--structure, --data and --restore exclude each other")
    opened = open_store(store_url)
    level: Level = "structure" if structure else "restore" if restore else "data"
    report = opened.verify(level, sample=_share(data or "100%"), seed=seed)
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        _print_report(report)
    if report.problems:
        hits = {hit[:2] for problem in report.problems for hit in problem.checkpoints}
        raise StoreDamagedError(
            f"{opened.url}: {len(report.problems)} problems; {len(hits)} checkpoints "
            "cannot be restored",
            hint=suggest("repair --dry-run", store_url),
        )


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
@click.option(
    "--leases",
    is_flag=True,
    help="Also set unreadable leases aside. Only while no search is using the store.",
)
@store_option
@json_option
def repair(dry_run: bool, leases: bool, store_url: str, as_json: bool) -> None:
    """Mend what other copies can mend; set the rest aside under lost/, deleting nothing."""
    report = open_store(store_url).repair(dry_run=dry_run, leases=leases)
    if as_json:
        print_json(dataclasses.asdict(report))
        return
    _print_repair(report)
    if report.moved or report.lost or report.hints or report.quarantined:
        click.echo(f"next  {suggest('repair' if dry_run else 'verify --restore', store_url)}")


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(f"{text!r} is not a share of the data: expected 1% to 100%, such as 10%")
    return share


def _print_report(report: VerifyReport) -> None:
    for problem in report.problems:
        _print_problem(problem)
    click.echo(
        f"{report.checkpoints} checkpoints, {report.packs} packs, {report.blobs} blobs, "
        f"{size(report.bytes_read)} read: {len(report.problems)} problems"
    )
    if report.sample < 1:
        click.echo(f"looked at {report.sample:.0%} of the data (--seed {report.seed})", err=True)
    click.echo(f"not checked: {report.unchecked}", err=True)


def _print_problem(problem: Problem) -> None:
    click.echo(clean_lines(f"{problem.kind}: {problem.what}"))
    for hit in problem.checkpoints:
        click.echo(f"  hits {_hit(hit)}")
    click.echo(clean_lines(f"  mend it: {problem.remedy}"))


def _print_repair(report: RepairReport) -> None:
    would = "would be " if report.dry_run else ""
    for key, epoch in report.repaired:
        click.echo(f"repaired     {key[:12]}:{epoch}" + (" (would be)" if report.dry_run else ""))
    for hit in report.lost:
        click.echo(f"lost         {_hit(hit)}")
    for name in report.quarantined:
        click.echo(f"set aside    {name}" + (" (would be)" if report.dry_run else ""))
    for name in report.waiting:
        click.echo(f"waiting      pack {name}: still needed, looked at again next time")
    for name in report.leases:
        click.echo(f"unreadable   {name}: nothing can be collected; --leases sets it aside")
    click.echo(
        f"{len(report.repaired)} checkpoints {would}repaired, {len(report.lost)} lost, "
        f"{report.blobs} blobs and {len(report.hints)} hints {would}written, "
        f"{report.moved} manifests {would}moved"
    )


def _hit(hit: Hit) -> str:
    nearest = "none" if hit.nearest_intact is None else str(hit.nearest_intact)
    return f"{hit.key[:12]}:{hit.epoch}, nearest intact epoch: {nearest}"
