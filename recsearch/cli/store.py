"""``recsearch store``: look into the checkpoint store, check it, free what nobody needs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from recsearch.cli.options import json_option, store_option
from recsearch.cli.output import print_json, print_rows
from recsearch.errors import CheckpointNotFoundError, StoreDamagedError, UsageError

if TYPE_CHECKING:
    from recsearch.store import Manifest, Problem, Store

MIN_PREFIX = 6


@click.group()
def store() -> None:
    """Look into the checkpoint store."""


@store.command()
@store_option
@json_option
def ls(store_url: str, as_json: bool) -> None:
    """List the trials that have checkpoints."""
    opened = _open(store_url)
    keys = opened.keys()
    rows = [_trial_row(opened, key) for key in keys]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo(f"No checkpoints in {opened.url} yet.", err=True)
    else:
        shown = [row | {"key": row["key"][:12], "epochs": _span(row["epochs"])} for row in rows]
        print_rows(shown, ("key", "search", "run", "trial", "epochs", "objective", "value"))


@store.command()
@click.argument("checkpoint", metavar="KEY[:EPOCH]")
@store_option
@json_option
def show(checkpoint: str, store_url: str, as_json: bool) -> None:
    """Show one checkpoint: what is in it and what was recorded with it.

    KEY is a trial key or at least its first 6 characters; without EPOCH the last one is shown.
    """
    opened = _open(store_url)
    prefix, _, epoch = checkpoint.partition(":")
    if epoch and not epoch.isdecimal():
        raise UsageError(f"{epoch!r} is not an epoch: expected KEY or KEY:EPOCH, such as ab12cd:3")
    manifest = opened.read(_find_key(opened, prefix), int(epoch) if epoch else None)
    if as_json:
        print_json(_manifest_row(manifest))
        return
    for name in ("key", "epoch", "created", "ref"):
        click.echo(f"{name:<10} {getattr(manifest, name)}")
    click.echo(f"{'size':<10} {_bytes(manifest.logical_bytes)}")
    print_rows(_tensor_rows(manifest), ("part", "tensor", "dtype", "shape", "bytes"))
    values = {name: dict(part.values) for name, part in manifest.parts.items() if part.values}
    print_json({"values": values, "info": manifest.info})


@store.command()
@click.option("--quick", is_flag=True, help="Check references only; read no data.")
@store_option
@json_option
def verify(quick: bool, store_url: str, as_json: bool) -> None:
    """Read everything, compare every byte with its hash, and name what is damaged."""
    opened = _open(store_url)
    report = opened.verify(data=not quick)
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        for problem in report.problems:
            _print_problem(problem)
        click.echo(
            f"{report.checkpoints} checkpoints, {report.packs} packs, {report.blobs} blobs: "
            f"{len(report.problems)} problems"
        )
    if report.problems:
        hits = {hit[:2] for problem in report.problems for hit in problem.checkpoints}
        raise StoreDamagedError(
            f"{opened.url}: {len(report.problems)} problems; {len(hits)} checkpoints "
            "cannot be restored"
        )


@store.command()
@store_option
@json_option
def du(store_url: str, as_json: bool) -> None:
    """Show how many bytes the store holds, in all and by trial."""
    usage = _open(store_url).du()
    if as_json:
        print_json(dataclasses.asdict(usage))
        return
    ratio = usage.stored_bytes / usage.logical_bytes if usage.logical_bytes else 0.0
    click.echo(f"checkpoints   {usage.checkpoints} in {usage.packs} packs")
    click.echo(f"logical       {_bytes(usage.logical_bytes)}")
    click.echo(f"stored        {_bytes(usage.stored_bytes)} ({ratio:.0%} of logical)")
    click.echo(f"unreferenced  {_bytes(usage.unreferenced_bytes)}")
    rows = [
        {
            "key": key[:12],
            "checkpoints": share.checkpoints,
            "logical": _bytes(share.logical_bytes),
            "stored": _bytes(share.stored_bytes),
        }
        for key, share in usage.keys.items()
    ]
    if rows:
        print_rows(rows, ("key", "checkpoints", "logical", "stored"))


@store.command()
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

    Garbage is marked first and deleted by a later gc, after the grace period.
    """
    done = _open(store_url).collect(grace_s=grace, dry_run=dry_run)
    if as_json:
        print_json(dataclasses.asdict(done))
        return
    would = "would be " if dry_run else ""
    click.echo(
        f"garbage   {done.unreferenced_packs} of {done.packs} packs, "
        f"{_bytes(done.unreferenced_bytes)}"
    )
    click.echo(f"freed     {done.swept_packs} packs, {_bytes(done.swept_bytes)} {would}deleted")
    click.echo(f"waiting   {done.waiting_packs} packs, {done.tombstoned} of them {would}marked now")
    if done.pinned_packs:
        click.echo(f"in use    {done.pinned_packs} packs of checkpoints that are being written")


def _open(url: str) -> Store:
    from recsearch.store import Store

    return Store.open(url, create=False)


def _find_key(opened: Store, prefix: str) -> str:
    if len(prefix) < MIN_PREFIX:
        raise UsageError(f"{prefix!r} is too short for a key: type {MIN_PREFIX} characters or more")
    keys = opened.keys()
    found = [key for key in keys if key.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointNotFoundError(
            f"no trial in {opened.url} has a key that begins with {prefix}",
            hint="recsearch store ls",
        )
    some = ", ".join(key[: len(prefix) + 4] for key in found[:4])
    raise UsageError(f"{len(found)} keys begin with {prefix}: type more characters ({some}, ...)")


def _trial_row(opened: Store, key: str) -> dict[str, Any]:
    epochs = opened.epochs(key)
    info: Mapping[str, Any] = {}
    note = None
    try:
        info = opened.read(key).info
    except CheckpointNotFoundError:
        pass  # dropped since it was listed
    except StoreDamagedError:
        note = "damaged"
    objective, value = _objective(info)
    return {
        "key": key,
        "search": _name(info.get("search")),
        "run": _name(info.get("run")),
        "trial": info.get("trial"),
        "epochs": epochs,
        "objective": note or objective,
        "value": value,
    }


def _objective(info: Mapping[str, Any]) -> tuple[str | None, float | None]:
    """Name and value of the objective, from ``objective`` and ``metrics`` where both fit."""
    name, metrics = info.get("objective"), info.get("metrics")
    if not isinstance(name, str) or not isinstance(metrics, Mapping):
        return None, None
    value = metrics.get(name)
    return name, value if isinstance(value, int | float) else None


def _name(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("name")
    return None if value is None else str(value)


def _tensor_rows(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "part": part,
            "tensor": tensor.name,
            "dtype": tensor.dtype,
            "shape": "x".join(str(n) for n in tensor.shape) or "scalar",
            "bytes": tensor.nbytes,
        }
        for part, tensor in manifest.tensors
    ]


def _manifest_row(manifest: Manifest) -> dict[str, Any]:
    parts = {
        name: {
            "tensors": {
                t.name: {
                    "dtype": t.dtype,
                    "shape": list(t.shape),
                    "nbytes": t.nbytes,
                    "blake3": t.hash.hex(),
                    "packs": sorted({ref.pack for ref in t.blobs}),
                }
                for t in part.tensors.values()
            },
            "values": dict(part.values),
        }
        for name, part in manifest.parts.items()
    }
    names = ("key", "epoch", "ref", "created", "info")
    return {name: getattr(manifest, name) for name in names} | {
        "logical_bytes": manifest.logical_bytes,
        "parts": parts,
    }


def _print_problem(problem: Problem) -> None:
    click.echo(f"{problem.kind}: {problem.what}")
    for hit in problem.checkpoints:
        nearest = "none" if hit.nearest_intact is None else str(hit.nearest_intact)
        click.echo(f"  hits {hit.key[:12]}:{hit.epoch}, nearest intact epoch: {nearest}")


def _span(epochs: Sequence[int]) -> str:
    if len(epochs) > 1 and epochs[-1] - epochs[0] + 1 == len(epochs):
        return f"{epochs[0]}-{epochs[-1]}"
    return ",".join(str(epoch) for epoch in epochs)


def _bytes(number: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN and no infinity
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
