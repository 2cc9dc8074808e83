"""``recsearch explain``: a search file in words."""

from __future__ import annotations

import click

from recsearch.cli.spaces import set_option


@click.command()
@click.argument("search")
@set_option
def explain(search: str, settings: tuple[str, ...]) -> None:
    """Say in words what SEARCH, a name or a TOML file, looks for, where, and when a trial ends."""
    from recsearch.explain import explain as words
    from recsearch.spec import load_search, parse_override

    spec = load_search(search, overrides=dict(parse_override(text) for text in settings))
    for paragraph in words(spec):
        click.echo(click.wrap_text(paragraph, width=100))
