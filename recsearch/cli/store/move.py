"""``recsearch store export | import``: to and from files and other stores."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsearch.cli.options import json_option, store_option
from recsearch.cli.output import print_json
from recsearch.cli.store.address import (
    HELP,
    METAVAR,
    checkpoint_store_option,
    find,
    find_key,
    open_store,
    parse,
    suggest,
)
from recsearch.cli.store.words import size
from recsearch.errors import UsageError
from recsearch.folds import check_fold

if TYPE_CHECKING:
    from recsearch.store import Manifest, Store


@click.command(
    help="""Write a checkpoint to a .safetensors or .pt file, or copy to another store.

    To a store (a folder or URL) go all epochs of the trial unless EPOCH is given, with what is
    recorded about them and with pins; of a RUN without TRIAL, all trials. A copy that was stopped
    goes on with the same command."""
    + HELP
)
@click.argument("checkpoint", metavar=METAVAR)
@click.argument("target", metavar="FILE|STORE")
@click.option("--part", help="Only this part, its tensors named as in the model.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@checkpoint_store_option
@json_option
def export(
    checkpoint: str,
    target: str,
    part: str | None,
    force: bool,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Export."""
    if not _is_file(target):
        if part or force:
            raise click.UsageError("--part and --force go with a file")
        _copy_out(checkpoint, target, store_url, as_json)
        return
    from recsearch.store import write_file

    found = find(checkpoint, store_url)
    with found.store.hold(found.key, found.epoch) as manifest:
        state = found.store.restore(found.key, found.epoch, [part] if part else None)
    written = write_file(Path(target), manifest, state, plain=bool(part), force=force)
    if as_json:
        print_json({"file": target, "key": found.key, "epoch": found.epoch, "bytes": written})
        return
    click.echo(f"exported  {found.label} to {target}, {size(written)}")
    check = f"params {found.key[:12]}:{found.epoch} --check {shlex.quote(target)}"
    click.echo(f"next      {suggest(check, store_url or found.store.url)}")


@click.command("import")
@click.argument("source", metavar="FILE|STORE")
@click.option("--key", help="Key of the checkpoint; of a store: only this trial.")
@click.option("--epoch", type=click.IntRange(1), help="Its epoch; of a store: only this one.")
@store_option
@json_option
def import_(source: str, key: str | None, epoch: int | None, store_url: str, as_json: bool) -> None:
    """Read a .safetensors or .pt file into the store, or copy all trials of another store.

    What export wrote keeps its key and epoch. A state dict of another program becomes the part
    "model" of a checkpoint whose key is derived from its content. Nothing is unpickled.
    """
    if not _is_file(source):
        other = open_store(source)
        chosen = None if key is None else find_key(other, key.lower())
        _copy(other, store_url, chosen, epoch, as_json)
        return
    from recsearch.store import Store, read_file

    found = read_file(Path(source))
    with Store.open(store_url) as opened:
        key, epoch = key or found.key, epoch or found.epoch
        saved = opened.save(key, epoch, found.state, found.info)
    row = {"key": key, "epoch": epoch, "ref": saved.ref, "stored_bytes": saved.stored_bytes}
    if as_json:
        print_json(row)
        return
    click.echo(f"imported  {source} as {key[:12]}:{epoch}, {size(saved.stored_bytes)} stored")
    click.echo(f"next      {suggest(f'show {key[:12]}:{epoch}', store_url)}")


def _copy_out(checkpoint: str, target: str, store_url: str | None, as_json: bool) -> None:
    address = None if checkpoint.startswith("pin:") else parse(checkpoint)
    if address is None or address.epoch is not None:
        found = find(checkpoint, store_url)
        _copy(found.store, target, found.key, found.epoch, as_json)
    elif address.run is None:
        opened = open_store(store_url)
        _copy(opened, target, find_key(opened, address.key), None, as_json)
    else:
        from recsearch.run import RunView

        view = RunView.open(address.run)
        trials = view.trials if address.trial is None else (view.trial(address.trial),)
        opened = open_store(store_url or view.store_url)
        keys = [key for trial in trials for key in trial.fold_keys]
        if address.fold is not None:
            check_fold(address.fold, view.identity, "fold")
            keys = [trial.fold_keys[address.fold] for trial in trials]
        _copy(opened, target, keys, None, as_json)


def _copy(
    source: Store,
    target: str,
    keys: str | list[str] | None,
    epoch: int | None,
    as_json: bool,
) -> None:
    from recsearch.store import Copied, Store

    def progress(manifest: Manifest) -> None:
        click.echo(f"{manifest.where}  {size(manifest.logical_bytes)}", err=True)

    done = Copied()
    with Store.open(target) as opened:
        for key in keys if isinstance(keys, list) else [keys]:
            done += source.copy_to(opened, key, epoch, progress)
    if as_json:
        print_json({"from": source.url, "to": target} | dataclasses.asdict(done))
        return
    click.echo(
        f"copied  {done.copied} checkpoints to {target}, {size(done.stored_bytes)}; "
        f"{done.present} were there already"
    )
    click.echo(f"next    {suggest('verify', target)}")


def _is_file(text: str) -> bool:
    """Whether a file of tensors is meant, and not a store.

    Raises:
        UsageError: it looks like a file of another format.
    """
    from recsearch.store import SUFFIXES

    path = Path(text)
    if "://" in text or path.is_dir():
        return False
    if path.suffix in SUFFIXES:
        return True
    if path.is_file():
        raise UsageError(f"{text} is neither a store nor a file that ends in {', '.join(SUFFIXES)}")
    return False
