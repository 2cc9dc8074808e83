"""``recsearch store``: look into the checkpoint store, check it, keep it small, move it."""

from __future__ import annotations

import click

from recsearch.cli.store.check import repair, verify
from recsearch.cli.store.keep import pin, prune, unpin
from recsearch.cli.store.look import diff_, ls, params, show
from recsearch.cli.store.move import export, import_
from recsearch.cli.store.space import du, gc


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order of a user's work."""
        return list(self.commands)


@click.group(cls=_Group)
def store() -> None:
    """Look into the checkpoint store, check it, keep it small, move checkpoints."""


for command in (
    ls, show, params, diff_, du, verify, repair, prune, gc, pin, unpin, export, import_
):  # fmt: skip
    store.add_command(command)
