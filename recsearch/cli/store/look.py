"""``recsearch store ls | show | params | diff``: what there is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsearch.cli.options import json_option, store_option
from recsearch.cli.output import print_json, print_rows
from recsearch.cli.store.address import (
    HELP,
    METAVAR,
    checkpoint_store_option,
    find,
    objective_of,
    open_store,
)
from recsearch.cli.store.words import name_of, shape, size, span
from recsearch.errors import CheckpointNotFoundError, StoreDamagedError

if TYPE_CHECKING:
    from recsearch.store import Diff, Manifest, PartialReport, Store


@click.command()
@click.option("--pins", is_flag=True, help="List what is pinned instead.")
@store_option
@json_option
def ls(pins: bool, store_url: str, as_json: bool) -> None:
    """List the trials that have checkpoints."""
    opened = open_store(store_url)
    if pins:
        rows = [_pin_row(name, manifest) for name, manifest in sorted(opened.pins().items())]
        columns = ["pin", "key", "epoch", "pinned", "reason"]
    else:
        keys = opened.keys()
        rows = [_trial_row(opened, key) for key in keys]
        columns = ["key", "search", "run", "trial", "epochs", "objective", "value"]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo(f"No {'pins' if pins else 'checkpoints'} in {opened.url} yet.", err=True)
    else:
        shown = [row | {"key": row["key"][:12], "epochs": span(row["epochs"])} for row in rows]
        print_rows(shown, columns)


@click.command(
    help="Show one checkpoint: what is in it, how it is stored, what was recorded with it." + HELP
)
@click.argument("checkpoint", metavar=METAVAR)
@checkpoint_store_option
@json_option
def show(checkpoint: str, store_url: str | None, as_json: bool) -> None:
    """Print one manifest."""
    found = find(checkpoint, store_url)
    with found.store.hold(found.key, found.epoch) as manifest:
        row = _manifest_row(found.store, manifest)
    if as_json:
        print_json(row | {"choice": found.choice, "store": found.store.url})
        return
    click.echo(f"{'checkpoint':<10} {found.label}")
    for name in ("key", "epoch", "created", "ref"):
        click.echo(f"{name:<10} {row[name]}")
    click.echo(f"{'size':<10} {size(row['logical_bytes'])}")
    shared = row["stored_bytes"] - row["new_bytes"]
    click.echo(
        f"{'stored':<10} {size(row['stored_bytes'])}: {size(row['new_bytes'])} of its own, "
        f"{size(shared)} shared with other checkpoints"
    )
    tensors = [
        {"part": part, "tensor": name, **facts, "shape": shape(facts["shape"])}
        | {"bytes": facts["nbytes"], "stored": facts["stored_bytes"], "new": facts["new_bytes"]}
        | {"codec": "+".join(facts["codecs"])}
        for part, content in row["parts"].items()
        for name, facts in content["tensors"].items()
    ]
    columns = ("part", "tensor", "dtype", "shape", "bytes", "stored", "new")
    print_rows(tensors, (*columns, "codec", "depth", "patches"))
    values = {name: part["values"] for name, part in row["parts"].items() if part["values"]}
    print_json({"values": values, "info": row["info"]})


@click.command(help="List the arrays of one checkpoint, or see whether others fit it." + HELP)
@click.argument("checkpoint", metavar=METAVAR)
@click.option(
    "--check",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Say which tensors of this .safetensors or .pt file the checkpoint could fill.",
)
@click.option(
    "--param-map",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --check: a file of old and new names, two columns, * stands for anything.",
)
@click.option("--partial", is_flag=True, help="With --check: exit 0 even if not all fits.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --check: write the report as JSON, such as restore-report.json.",
)
@checkpoint_store_option
@json_option
def params(
    checkpoint: str,
    check: Path | None,
    param_map: Path | None,
    partial: bool,
    report: Path | None,
    store_url: str | None,
    as_json: bool,
) -> None:
    """List arrays."""
    if check is None and (param_map or partial or report):
        raise click.UsageError("--param-map, --partial and --report go with --check FILE")
    found = find(checkpoint, store_url)
    with found.store.hold(found.key, found.epoch) as manifest:
        if check is not None:
            _check(manifest, check, param_map, partial, report, as_json)
            return
        rows = [_param_row(part, tensor) for part, tensor in manifest.tensors]
    if as_json:
        print_json(rows)
        return
    click.echo(f"checkpoint {found.label}, {size(manifest.logical_bytes)}", err=True)
    shown = [row | {"shape": shape(row["shape"]), "blake3": _short(row["blake3"])} for row in rows]
    print_rows(shown, ("name", "shape", "dtype", "bytes", "blake3", "part"))


@click.command(
    "diff",
    help="Compare two checkpoints array by array; A and B are CHECKPOINTs." + HELP,
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@checkpoint_store_option
@json_option
def diff_(a: str, b: str, store_url: str | None, as_json: bool) -> None:
    """Compare checkpoints."""
    one, two = find(a, store_url), find(b, store_url)
    with (
        one.store.hold(one.key, one.epoch) as before,
        two.store.hold(two.key, two.epoch) as after,
    ):
        # Checkpoints of one store may be compared without reading what both refer to.
        same = one.store.url == two.store.url
        found = one.store.diff(before, after, None if same else two.store)
    if as_json:
        names = {"a": one.label, "b": two.label, "equal": found.equal}
        print_json(names | dataclasses.asdict(found))
        return
    click.echo(f"A {one.label}\nB {two.label}")
    print_rows(_diff_rows(found), ("part", "tensor", "change", "rows", "changed", "%", "largest"))
    for part in found.values:
        click.echo(f"values of {part} differ")
    if found.equal:
        click.echo("equal")


def _check(
    manifest: Manifest,
    file: Path,
    param_map: Path | None,
    partial: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    from recsearch.files import write_atomic
    from recsearch.store import ParameterMap, read_file
    from recsearch.store.remap import compare, named

    names = None if param_map is None else ParameterMap.read(param_map)
    found = compare(manifest, named(read_file(file).state), names)
    content = dataclasses.asdict(found)
    if report is not None:
        write_atomic(report, content)
        click.echo(f"wrote {report}", err=True)
    if as_json:
        print_json(content)
    else:
        _print_fit(found)
    if not partial:
        found.check()


def _print_fit(report: PartialReport) -> None:
    for name, old in report.matched.items():
        click.echo(f"matched     {name}" + (f" from {old}" if old != name else ""))
    for name in report.missing:
        click.echo(f"missing     {name}")
    for name in report.unexpected:
        click.echo(f"unexpected  {name}")
    for name, (stored, wanted) in report.mismatched.items():
        click.echo(f"shape       {name}: stored as {stored}, wanted as {wanted}")


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
    objective, _, value = objective_of(dict(info))
    return {
        "key": key,
        "search": name_of(info.get("search")),
        "run": name_of(info.get("run")),
        "trial": info.get("trial"),
        "epochs": epochs,
        "objective": note or objective,
        "value": value,
    }


def _pin_row(name: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "pin": name,
        "key": manifest.key,
        "epoch": manifest.epoch,
        "epochs": [manifest.epoch],
        "pinned": manifest.created,
        "reason": manifest.info.get("reason"),
    }


def _param_row(part: str, tensor: Any) -> dict[str, Any]:
    return {
        "part": part,
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "bytes": tensor.nbytes,
        "blake3": tensor.hash.hex() if tensor.hash else None,
    }


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "patched"


def _manifest_row(opened: Store, manifest: Manifest) -> dict[str, Any]:
    anatomy = opened.dissect(manifest)
    stored = {(tensor.part, tensor.tensor): tensor for tensor in anatomy.tensors}
    parts: dict[str, Any] = {
        name: {"tensors": {}, "values": dict(part.values)} for name, part in manifest.parts.items()
    }
    for part, tensor in manifest.tensors:
        facts = stored[part, tensor.name]
        parts[part]["tensors"][tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "nbytes": tensor.nbytes,
            "blake3": tensor.hash.hex() if tensor.hash else None,
            "stored_bytes": facts.stored_bytes,
            "new_bytes": facts.own_bytes,
            "codecs": list(facts.codecs),
            "depth": facts.depth,
            "patches": facts.patches,
            "block_rows": tensor.block_rows,
            "packs": sorted({place.pack for place in tensor.places}),
            "made_from": None if tensor.made_from is None else tensor.made_from.name,
        }
    names = ("key", "epoch", "ref", "created", "info")
    return {name: getattr(manifest, name) for name in names} | {
        "logical_bytes": manifest.logical_bytes,
        "stored_bytes": anatomy.stored_bytes,
        "new_bytes": anatomy.own_bytes,
        "parts": parts,
    }


def _diff_rows(found: Diff) -> list[dict[str, Any]]:
    rows = []
    for tensor in found.tensors:
        change = str(tensor.change)
        if tensor.change == "shape":
            change = f"{tensor.before} -> {tensor.after}"
        share = f"{tensor.changed_rows / tensor.rows:.2%}" if tensor.rows else ""
        rows.append(
            dataclasses.asdict(tensor)
            | {"change": change, "changed": tensor.changed_rows, "%": share}
        )
    return rows
