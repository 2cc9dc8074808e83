"""``recsearch final``: the best configuration on the test parts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from recsearch.cli.options import json_option, program, run_path
from recsearch.cli.output import print_json, print_table
from recsearch.cli.words import NUMBERS, SpacedOptions, whole_numbers
from recsearch.urls import command_line


@click.command(cls=SpacedOptions, spaced={"--seeds": NUMBERS, "--parts": NUMBERS})
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--seeds",
    multiple=True,
    metavar="N …",
    help="Initial seeds of the models, such as 1 2 3.  [default: the run's]",
)
@click.option("--parts", multiple=True, metavar="N …", help="Test parts.  [default: all]")
@click.option(
    "--default/--no-default",
    "with_default",
    default=True,
    show_default=True,
    help="Measure the default configuration beside it.",
)
@click.option("--workers", type=click.IntRange(1), help="Models at a time.  [default: cores]")
@click.option(
    "--store",
    "store_url",
    envvar="RECSEARCH_STORE",
    help="Checkpoint store.  [default: the one of the run]",
)
@json_option
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the result.")
def final(
    run: Path,
    seeds: tuple[str, ...],
    parts: tuple[str, ...],
    with_default: bool,
    workers: int | None,
    store_url: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Retrain the best configuration of RUN and measure it on the test parts.

    The default configuration is measured beside it. Nothing else reads test data, and the run's
    journal says when it was read. Killed anywhere, the same command goes on.
    """
    from recsearch.cpus import available_cpus
    from recsearch.final.plan import CONFIGS
    from recsearch.final.work import FinalRequest, run_final

    def progress(unit: Any, phase: str, seconds: float) -> None:
        if not quiet:
            click.echo(f"{unit}: {phase} {seconds:.1f} s", err=True)

    request = FinalRequest(
        root=run_path(run),
        seeds=whole_numbers("--seeds", seeds),
        parts=whole_numbers("--parts", parts),
        configs=CONFIGS if with_default else CONFIGS[:1],
        store_url=store_url,
        workers=workers or available_cpus(),
        command=command_line([program(), *sys.argv[1:]]),
    )
    found = run_final(request, progress)
    if as_json:
        print_json(found.document)
        return
    headers, rows = table(found)
    print_table(headers, rows)
    for line in _closing(found, request.root):
        click.echo(line)


def table(found: Any) -> tuple[list[str], list[list[str]]]:
    """A row for each metric, a column for each configuration and baseline: mean ± std of parts."""
    document = found.document
    names = list(document["results"]["best"]["metrics"])
    names.sort(key=lambda name: name != document["objective"])
    headers = ["metric", *found.configs]
    return headers, [[name, *(_cell(found, config, name) for config in found.configs)]
                     for name in names]  # fmt: skip


def _cell(found: Any, config: str, metric: str) -> str:
    if metric not in found.document["results"][config]["metrics"]:
        return ""
    spread = found.spread(config, metric)
    if spread.mean is None:
        return "-"
    return f"{spread.mean:.5f}" + ("" if spread.std_parts is None else f" ± {spread.std_parts:.5f}")


def _closing(found: Any, root: Path) -> Iterator[str]:
    document = found.document
    parts, seeds = document["parts"], document["seeds"]
    yield (
        f"mean ± standard deviation over test parts {', '.join(map(str, parts))}; "
        f"seeds {', '.join(map(str, seeds))}"
    )
    objective = document["objective"]
    for over, words in (("default", "the default configuration"), ("bias", "tuned bias"),
                        ("popular", "popularity")):  # fmt: skip
        gain = found.gain(over)
        if gain is not None:
            yield f"gain       {gain:+.5f} {objective} against {words}"
    best = document["results"]["best"]
    value = best["validation"].get(objective)
    if value is not None:
        yield f"validation {value:.5f} was its {objective} in the search (trial {best['trial']})"
    yield f"results    {found.path}"
    yield f"next       {program()} report {root}"
