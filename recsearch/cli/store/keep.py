"""``recsearch store prune | pin | unpin``: what stays and what goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsearch.cli.options import json_option, run_path, store_option
from recsearch.cli.output import print_json, print_rows
from recsearch.cli.store.address import (
    HELP,
    METAVAR,
    checkpoint_store_option,
    find,
    find_key,
    objective_of,
    open_store,
    suggest,
)
from recsearch.cli.store.trials import fold_keys, mean_values
from recsearch.cli.store.words import size

if TYPE_CHECKING:
    from recsearch.epochs import TrialView
    from recsearch.evaluation import Metric
    from recsearch.store import Manifest, Store


@click.command()
@click.argument("key", required=False)
@click.option("--policy", required=True, help="What to keep, such as best+last or best:2+every:5.")
@click.option(
    "--run",
    type=click.Path(path_type=Path, file_okay=False),
    help="Only checkpoints of this run, knowing which of its trials have ended.",
)
@click.option(
    "--even-all",
    is_flag=True,
    help="Also checkpoints of searches that were told to keep all epochs.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be dropped; change nothing.")
@checkpoint_store_option
@json_option
def prune(
    key: str | None,
    policy: str,
    run: Path | None,
    even_all: bool,
    dry_run: bool,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Drop the checkpoints that a policy does not keep: of a trial (KEY), of a run, or of all.

    The best epoch of every search stays, the best and the last of every trial that has not ended,
    and whatever is pinned. Without --run, no trial counts as ended. gc then frees the bytes.
    """
    if key is not None and run is not None:
        raise click.UsageError("name a KEY or a --run, not both")
    trials: dict[str, TrialView] = {}
    if run is not None:
        from recsearch.run import RunView

        view = RunView.open(run_path(run))
        trials = {f"{view.identity['run_id']}/{t.number}": t for t in view.trials}
        store_url = store_url or view.store_url
    opened = open_store(store_url)
    manifests = _manifests(opened, key)
    doomed, spared = _judge(manifests, policy, trials if run is not None else None, even_all)
    freed = opened.freed_by(doomed)
    if not dry_run:
        for manifest in doomed:
            opened.drop(manifest)
    rows = [_row(manifest) for manifest in doomed]
    if as_json:
        print_json({"dry_run": dry_run, "dropped": rows, "kept_by_all": spared, "bytes": freed})
        return
    if rows:
        print_rows(rows, ("checkpoint", "owner", "bytes"))
    would = "would be " if dry_run else ""
    click.echo(
        f"{len(rows)} checkpoints {would}dropped, with {size(freed)} that no other one needs"
    )
    if spared:
        click.echo(
            f"{spared} more belong to searches that keep all epochs: --even-all drops them",
            err=True,
        )
    if rows and not dry_run:
        click.echo(f"next  {suggest('gc', store_url)}")


@click.command(help="Keep a checkpoint, whatever its search and others drop, until unpin." + HELP)
@click.argument("checkpoint", metavar=METAVAR)
@click.option("--name", help="What to call the pin.  [default: from key and epoch]")
@click.option("--reason", default="", help="Why, for people.")
@checkpoint_store_option
@json_option
def pin(
    checkpoint: str, name: str | None, reason: str, store_url: str | None, as_json: bool
) -> None:
    """Pin."""
    found = find(checkpoint, store_url)
    name = name or f"{found.key[:12]}-{found.epoch}"
    ref = found.store.pin(found.key, found.epoch, name, reason)
    if as_json:
        print_json({"pin": name, "key": found.key, "epoch": found.epoch, "ref": ref})
        return
    click.echo(f"pinned  {found.label} as {name}")
    click.echo(f"next    {suggest(f'show pin:{name}', store_url or found.store.url)}")


@click.command()
@click.argument("name")
@store_option
@json_option
def unpin(name: str, store_url: str, as_json: bool) -> None:
    """Drop a pin. The checkpoint goes with it if nothing else keeps it."""
    opened = open_store(store_url)
    manifest = opened.unpin(name.removeprefix("pin:"))
    stays = manifest.epoch in opened.epochs(manifest.key)
    if as_json:
        print_json({"pin": name, "key": manifest.key, "epoch": manifest.epoch, "stays": stays})
        return
    click.echo(f"unpinned  {manifest.where}; " + ("its trial keeps it" if stays else "dropped"))
    if not stays:
        click.echo(f"next      {suggest('gc', store_url)}")


def _manifests(store: Store, key: str | None) -> Iterator[Manifest]:
    """Those of all trials or of one, whose folds are judged together."""
    if key is None:
        yield from store.manifests()
        return
    found = list(store.manifests(find_key(store, key.lower())))
    yield from found
    others = {name for manifest in found for name in fold_keys(manifest)}
    for name in sorted(others - {manifest.key for manifest in found}):
        yield from store.manifests(name)


def _judge(
    manifests: Iterable[Manifest],
    policy: str,
    trials: Mapping[str, TrialView] | None,
    even_all: bool,
) -> tuple[list[Manifest], int]:
    """What to drop, and how many more but for searches that keep all.

    Args:
        manifests: The checkpoints to judge.
        policy: What to keep.
        trials: The trials of one run by owner: only theirs are judged. None for those of all.
        even_all: Whether searches that keep all do not count.
    """
    from recsearch.keeping import record_of, retention_of
    from recsearch.store import TrialRecords

    searches: defaultdict[tuple[str, tuple[Metric, ...]], dict[str, list[Manifest]]]
    searches = defaultdict(lambda: defaultdict(list))
    for manifest in manifests:
        owner = str(manifest.info.get("owner", ""))
        objectives = _objectives(manifest.info)
        mine = trials is None or owner in trials
        if mine and objectives and not owner.startswith("pin:"):
            group = str(manifest.info.get("run", manifest.key)), objectives
            trial = ",".join(fold_keys(manifest))
            searches[group][f"{owner} {trial}"].append(manifest)
    doomed, spared = [], 0
    for (_, objectives), found in searches.items():
        retention = retention_of(policy, objectives)
        groups = sorted(found.values(), key=lambda each: int(each[0].info.get("trial") or 0))
        records = []
        for number, each in enumerate(groups):
            known = (trials or {}).get(str(each[0].info.get("owner")))
            values = tuple(
                record_of(epoch, metrics, objectives)
                for epoch, metrics in mean_values(each, [metric.name for metric in objectives])
            )
            ended = known is not None and known.finished
            pruned = known is not None and known.state == "pruned"
            records.append(TrialRecords(number, values, ended, pruned))
        kept = retention.keep(records)
        epochs = [
            {value.epoch for value in trial.records} - kept[trial.number] for trial in records
        ]
        dropped = [m for n, each in enumerate(groups) for m in each if m.epoch in epochs[n]]
        wanted = [m for m in dropped if even_all or m.info.get("retention") != "all"]
        doomed += wanted
        spared += len(dropped) - len(wanted)
    return doomed, spared


def _objectives(info: dict[str, Any]) -> tuple[Metric, ...]:
    """What decides which epochs of a search are best; nothing where that is not recorded."""
    from recsearch.evaluation import Metric, parse

    name, direction, _ = objective_of(info)
    if name is None:
        return ()
    others = [parse(other) for other in info.get("objectives", ()) if other != name]
    # Of metrics that recsearch does not know the direction is all there is to know.
    return (Metric(name, "rating", "min" if direction == "min" else "max"), *others)


def _row(manifest: Manifest) -> dict[str, Any]:
    return {
        "checkpoint": manifest.where,
        "key": manifest.key,
        "epoch": manifest.epoch,
        "owner": manifest.info.get("owner"),
        "bytes": manifest.logical_bytes,
        "ref": manifest.ref,
    }
