"""``recsearch doctor``: what a search will find on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from recsearch.cli.options import json_option, store_option
from recsearch.cli.output import print_json


@click.command()
@store_option
@json_option
def doctor(store_url: str, as_json: bool) -> int:
    """Look at libraries, cores, memory, threads, disk, store and data before a long search.

    A few small files are written beside the store, timed and removed. Exit code 1 if something is
    wrong.
    """
    from recsearch.doctor import examine

    findings = []
    for finding in examine(store_url, Path()):
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.name:<10} {finding.text}")
            if finding.problem is not None:
                click.echo(f"{'':<10} ! {finding.problem}")
    wrong = [finding.name for finding in findings if finding.problem is not None]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        click.echo(f"{'result':<10} {'look at ' + ', '.join(wrong) if wrong else 'all is well'}")
    return 1 if wrong else 0
