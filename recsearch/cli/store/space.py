"""``recsearch store du | gc``: what takes room, and how to get it back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from recsearch.cli.options import json_option, store_option
from recsearch.cli.output import print_json, print_rows
from recsearch.cli.store.address import open_store, suggest
from recsearch.cli.store.words import seconds, size

if TYPE_CHECKING:
    from recsearch.store import Collected, Share, Usage

COLUMNS = ("checkpoints", "logical", "stored", "ratio", "time")


@click.command()
@click.option("--trials", is_flag=True, help="Also list every trial.")
@store_option
@json_option
def du(trials: bool, store_url: str, as_json: bool) -> None:
    """Show what the store holds: in all, by run, by algorithm, by retention policy, by trial.

    Logical bytes are what plain files would take; time is what training and evaluation took. A
    blob that several share counts for each of them, so that their sum exceeds the whole.
    """
    usage = open_store(store_url).du()
    if as_json:
        print_json(_usage_row(usage))
        return
    click.echo(f"checkpoints   {usage.checkpoints} in {usage.packs} packs")
    click.echo(f"logical       {size(usage.logical_bytes)}")
    click.echo(f"stored        {size(usage.stored_bytes)} ({_ratio(usage):.0%} of logical)")
    click.echo(f"unreferenced  {size(usage.unreferenced_bytes)}")
    click.echo(f"time          {seconds(usage.seconds)}")
    groups = dict(usage.groups)
    if trials:
        groups["trial"] = {key[:12]: share for key, share in usage.keys.items()}
    for group, shares in groups.items():
        if shares:
            click.echo()
            rows = [{group: name} | _shown(share) for name, share in shares.items()]
            print_rows(rows, (group, *COLUMNS))
    if usage.unreferenced_bytes:
        click.echo(f"\nnext  {suggest('gc --dry-run', store_url)}")


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be freed; change nothing.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=600,
    show_default=True,
    help="Seconds for which a pack stays after it was found to be garbage.",
)
@store_option
@json_option
def gc(dry_run: bool, grace: float, store_url: str, as_json: bool) -> None:
    """Free what no checkpoint needs.

    Garbage is marked first and deleted by a later gc, after the grace period. Packs of which only a
    part is needed are rewritten first.
    """
    done = open_store(store_url).collect(grace_s=grace, dry_run=dry_run)
    if as_json:
        print_json(dataclasses.asdict(done))
        return
    _print_collected(done)
    if done.waiting_packs and not dry_run:
        click.echo(f"next      in {seconds(grace)}: {suggest('gc', store_url)}")


def _print_collected(done: Collected) -> None:
    would = "would be " if done.dry_run else ""
    for ulid in sorted(set(done.garbage) - set(done.swept)) if done.dry_run else ():
        click.echo(f"pack      {ulid} would be marked")
    for ulid in done.swept:
        click.echo(f"pack      {ulid} {would}deleted")
    for ulid in done.repacked:
        click.echo(f"pack      {ulid} {would}rewritten")
    click.echo(
        f"garbage   {done.unreferenced_packs} of {done.packs} packs, "
        f"{size(done.unreferenced_bytes)}"
    )
    click.echo(
        f"rewritten {len(done.repacked)} packs, {size(done.repacked_bytes)} {would}copied; "
        f"{size(done.dead_bytes)} in needed packs that nothing needs"
    )
    click.echo(f"freed     {done.swept_packs} packs, {size(done.swept_bytes)} {would}deleted")
    click.echo(f"waiting   {done.waiting_packs} packs, {done.tombstoned} of them {would}marked now")
    if done.pinned_packs:
        click.echo(f"in use    {done.pinned_packs} packs of checkpoints that are being written")


def _usage_row(usage: Usage) -> dict[str, Any]:
    def rows(shares: Any) -> dict[str, Any]:
        return {name: dataclasses.asdict(s) | {"ratio": s.ratio} for name, s in shares.items()}

    groups = {group: rows(shares) for group, shares in usage.groups.items()}
    fields = {f.name: getattr(usage, f.name) for f in dataclasses.fields(usage)}
    return fields | {"ratio": _ratio(usage), "keys": rows(usage.keys), "groups": groups}


def _shown(share: Share) -> dict[str, Any]:
    return {
        "checkpoints": share.checkpoints,
        "logical": size(share.logical_bytes),
        "stored": size(share.stored_bytes),
        "ratio": f"{share.ratio:.0%}",
        "time": seconds(share.seconds),
    }


def _ratio(usage: Usage) -> float:
    return usage.stored_bytes / usage.logical_bytes if usage.logical_bytes else 0.0
