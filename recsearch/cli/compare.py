"""``recsearch compare``: are the best of several runs different, user by user?"""

from __future__ import annotations

import csv
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from recsearch.cli.options import json_option, run_path
from recsearch.cli.output import print_json, print_table
from recsearch.cli.words import metric_names
from recsearch.errors import RecsearchError, UsageError
from recsearch.printable import clean, clean_lines


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path, file_okay=False))
@click.option("--metrics", help="Which ones, such as RMSE,NDCG@10.  [default: all in common]")
@click.option(
    "--test", is_flag=True, help="Compare the results of recsearch final on the test parts."
)
@click.option(
    "--store",
    "store_url",
    envvar="RECSEARCH_STORE",
    help="Checkpoint store.  [default: the one of each run]",
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def compare(
    runs: tuple[Path, ...],
    metrics: str | None,
    test: bool,
    store_url: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Compare the best epochs of RUNS by paired tests over users, on their validation part.

    Differences come with a bootstrap interval, Wilcoxon's and the t test, effect sizes and Holm's
    correction over all metrics and pairs, with --test beside what seeds alone do, where
    recsearch final has measured several. Exit code 3 if the runs were measured on other splits.

    With one RUN, its best epoch is compared with its default configuration and its baseline, which
    tells whether the gain is real.

    The result is kept in the run folder (comparisons/, gains.json of one run); recsearch report
    shows it until a run has another best epoch.
    """
    from recsearch.threads import use_one_thread

    if as_json and as_csv:
        raise UsageError("--json and --csv: one format at a time.")
    source = click.get_current_context().get_parameter_source("store_url")
    if test and source is ParameterSource.COMMANDLINE:
        raise UsageError("--store plays no part with --test: results are in the run folders.")
    if not runs:
        raise UsageError(
            "compare needs a run at least.", hint="See what runs there are: recsearch status"
        )
    use_one_thread()
    if len(runs) == 1:
        if test or metrics or as_csv:
            raise UsageError(
                "--test, --metrics and --csv compare runs with one another: name two at least."
            )
        _with_default(run_path(runs[0]), store_url, as_json=as_json)
        return
    names = None if metrics is None else metric_names(metrics)
    rows = _compare([run_path(run) for run in runs], names, store_url, test=test)
    if as_json:
        print_json([asdict(row) for row in rows])
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(field.name for field in fields(rows[0]))
        writer.writerows(asdict(row).values() for row in rows)
    else:
        for line in _show(rows, test=test):
            click.echo(line)


def _compare(
    roots: list[Path], names: list[str] | None, store_url: str | None, *, test: bool
) -> list[Any]:
    """Compare runs with one another, and keep what came out."""
    from recsearch.comparison import compare
    from recsearch.samples import final_sample, told_apart, validation_sample

    samples = [
        final_sample(root) if test else validation_sample(root, names, store_url) for root in roots
    ]
    samples = told_apart(samples, roots)
    rows = compare(samples, names)
    _keep(roots, "test" if test else "validation", samples, rows)
    return rows


def _with_default(root: Path, store_url: str | None, *, as_json: bool) -> None:
    """Compare the best of one run with its default configuration and its baseline."""
    from recsearch.gains import write_gains

    document = write_gains(root, store_url)
    if as_json:
        print_json(document)
        return
    metric, best = document["metric"], document["best"]
    click.echo(
        f"Best: trial {best['trial']}, epoch {best['epoch']}, on its validation part; gains in "
        f"{metric}, positive is better; p of Wilcoxon, after Holm"
    )
    rows = [
        (
            gain["over"],
            f"{gain['value']:.5f}",
            f"{gain['gain']:+.5f}",
            f"{gain['low']:+.5f} to {gain['high']:+.5f}",
            _p(gain["p_wilcoxon_holm"]),
            str(gain["users"]),
        )
        for gain in document["gains"]
    ]
    if rows:
        print_table(("over", metric, "gain", "95 % interval", "p", "users"), rows)
    for missing in document["missing"]:
        click.echo(clean(f"not measured: {missing['over']}: {missing['reason']}"))
    if not rows and not document["missing"]:
        click.echo("There is no baseline, and the best is the default configuration itself.")


def _keep(roots: list[Path], kind: str, samples: list[Any], rows: list[Any]) -> None:
    """Keep the result for pages; runs that others own can be compared all the same."""
    from recsearch.comparison_file import save_comparison

    if len({root.resolve().name for root in roots}) < len(roots):
        return  # pages are named by folder, so none can show both
    try:
        save_comparison(roots, kind, samples, rows)
    except RecsearchError as err:
        click.echo(clean_lines(f"note: not kept for pages: {err.message}"), err=True)


def _show(rows: list[Any], *, test: bool) -> list[str]:
    several = len({(row.one, row.other) for row in rows}) > 1
    seeded = any(row.seed_noise is not None for row in rows)
    names = ("one", "other") if several else (rows[0].one, rows[0].other)
    headers = (
        *(("runs",) if several else ()), "metric", *names, "difference", "95 % interval",
        "Wilcoxon", "Holm", "t", "Holm", "d", "r", *(("seeds",) if seeded else ()), "better",
    )  # fmt: skip
    table = [
        (
            *((f"{row.one} - {row.other}",) if several else ()),
            row.metric,
            f"{row.mean_one:.5f}",
            f"{row.mean_other:.5f}",
            f"{row.difference:+.5f}",
            f"{row.low:+.5f} to {row.high:+.5f}",
            *(_p(p) for p in (row.p_wilcoxon, row.p_wilcoxon_holm, row.p_t, row.p_t_holm)),
            f"{row.cohens_d:+.3f}",
            f"{row.rank_biserial:+.3f}",
            *((_noise(row.seed_noise),) if seeded else ()),
            row.better or "equal",
        )
        for row in rows
    ]
    print_table(headers, table)
    part = "test parts" if test else "validation part, where each is the best of its search"
    return [
        f"{max(row.users for row in rows)} users, {part}; p values two-sided; Holm over "
        f"{len(rows)} comparisons; d: Cohen's d of the differences; r: rank-biserial"
        + ("; seeds: standard deviation of the difference if seeds alone differed" * seeded)
    ]


def _noise(value: float | None) -> str:
    return "" if value is None else f"± {value:.5f}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"
