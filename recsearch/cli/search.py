"""``recsearch search``: run or resume a hyperparameter search."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from recsearch.cli.options import program, store_option
from recsearch.errors import RecsearchError, UsageError
from recsearch.pruning import SCHEDULERS

DEFAULT_SEED = 42


@click.command()
@click.argument("algorithm")
@click.argument("dataset", required=False)
@click.option(
    "--trials", type=click.IntRange(1), help="Total number of trials, resumed ones included."
)
@click.option("--max-epochs", type=click.IntRange(1), help="Epochs per trial at most.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Objective, such as RMSE or NDCG@10; several (RMSE,NDCG@10) for their Pareto front.",
)
@click.option("--method", type=click.Choice(["tpe", "random", "grid"]), help="Searcher.")
@click.option("--scheduler", type=click.Choice(SCHEDULERS), help="Pruning rule.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override any key of the search file, such as space.embedding_size.max=64.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=DEFAULT_SEED,
    show_default=True,
    help="Root seed of searcher and initial parameters.",
)
@click.option(
    "--split-seed",
    type=click.IntRange(0),
    default=20260701,
    show_default=True,
    help="Seed of the train and validation split.",
)
@click.option("--workers", type=click.IntRange(1), help="Trials at a time.  [default: cores]")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where models train; trials share a GPU. Another device makes another run.",
)
@click.option(
    "--run",
    "run_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Run folder.  [default: runs/<algorithm>-<dataset>, and options that differ]",
)
@store_option
@click.option("--retention", help="Which epochs stay: best+last, all, best:2+last:3, ...")
@click.option(
    "--quota", metavar="SIZE", help="What the run's checkpoints may hold, such as '5 GB', or none."
)
@click.option(
    "--fresh", is_flag=True, help="Move the run that is in the folder aside and start anew."
)
@click.option("--retry-errors", is_flag=True, help="Run trials that ended in an error again.")
@click.option(
    "--dry-run", is_flag=True, help="Print what would be done and what it would take; do nothing."
)
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print JSON.")
@click.option("--report/--no-report", default=True, show_default=True, help="Render the page.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the result.")
def search(
    algorithm: str,
    dataset: str | None,
    trials: int | None,
    max_epochs: int | None,
    metrics: tuple[str, ...],
    method: str | None,
    scheduler: str | None,
    settings: tuple[str, ...],
    seed: int,
    split_seed: int,
    workers: int | None,
    device: str,
    run_dir: Path | None,
    store_url: str,
    retention: str | None,
    quota: str | None,
    fresh: bool,
    retry_errors: bool,
    dry_run: bool,
    as_json: bool,
    report: bool,
    quiet: bool,
) -> int:
    """Search ALGORITHM's space on DATASET; the same command again resumes.

    ALGORITHM is a name from searches/ (see: recsearch spaces list) or a TOML file. DATASET is a
    name (see: recsearch data list), demo, csv:PATH or parquet:PATH. One word such as als-ml1m,
    as in make search-als-ml1m, stands for both.
    """
    from recsearch.data import SplitSpec
    from recsearch.display import make_display
    from recsearch.evaluation import parse
    from recsearch.request import Request, resolve_request
    from recsearch.spec import load_search, parse_override
    from recsearch.tuning.cluster import quieten

    objectives = [name.strip() for text in metrics for name in text.split(",")]
    named = {
        "search.trials": trials,
        "search.max_epochs": max_epochs,
        "search.metric": objectives if len(objectives) > 1 else next(iter(objectives), None),
        "search.method": method,
        "search.scheduler": scheduler,
        "search.retention": retention,
        "search.quota": quota,
    }
    if as_json and not dry_run:
        raise UsageError("--json prints a forecast: it goes with --dry-run.")
    overrides = dict(parse_override(text) for text in settings)
    overrides |= {key: value for key, value in named.items() if value is not None}
    if dataset is None:
        algorithm, dataset = divide(algorithm)
    spec = load_search(algorithm, overrides=overrides)
    variant = [
        value
        for value in (
            *(parse(name).name for name in objectives),
            method,
            scheduler,
            max_epochs and f"epochs{max_epochs}",
            seed != DEFAULT_SEED and f"seed{seed}",
            split_seed != SplitSpec().seed and f"split{split_seed}",
            device != "cpu" and device,
        )
        if value
    ]
    request = Request(
        spec=spec,
        dataset=dataset,
        run_root=run_dir or Path("runs") / run_name(algorithm, dataset, variant),
        store_url=store_url,
        seed=seed,
        workers=workers,
        device=device,
        split=SplitSpec(seed=split_seed),
        fresh=fresh,
        retry_errors=retry_errors,
        command=_again(),
    )
    quieten()
    resolved = resolve_request(request)
    if dry_run:
        from recsearch.cli.dry_run import print_forecast
        from recsearch.tuning.forecast import forecast

        print_forecast(forecast(resolved), request, _again("--dry-run", "--json"), as_json=as_json)
        return 0
    from recsearch.tuning.driver import run_search

    outcome = run_search(resolved, make_display(sys.stderr, quiet=quiet))
    page = render_page(outcome.paths.root, store_url) if report else None
    from recsearch.cli.summary import closing_lines

    for line in closing_lines(outcome, request, page):
        click.echo(line)
    return outcome.exit_code


def divide(target: str) -> tuple[str, str]:
    """``als-implicit-ml100k`` as search and data set: the longest known search name wins.

    Raises:
        UsageError: no known search begins the word, or nothing follows it.
    """
    from recsearch.spec import available_searches

    names = sorted(available_searches(), key=len, reverse=True)
    for name in names:
        if target.startswith(f"{name}-") and len(target) > len(name) + 1:
            return name, target[len(name) + 1 :]
    missing = "no data set follows it" if target in names else "it begins with no known search"
    raise UsageError(
        f"{target}: {missing}. Known searches: {', '.join(sorted(names))}.",
        hint="Name both, such as: recsearch search als demo",
    )


def run_name(algorithm: str, dataset: str, variant: Sequence[str] = ()) -> str:
    """Folder name of a run: ``als-ml1m``, ``als-csv-ratings``, ``als-ml1m-ndcg10-seed7``.

    Options that make it another search than the file's own are part of the name, so that variants
    lie side by side.
    """
    kind, _, rest = dataset.partition(":")
    words = [Path(algorithm).stem, kind, Path(rest).stem if rest else ""]
    words += [re.sub(r"[^a-z0-9-]", "", value.lower()) for value in variant]
    return "-".join(word for word in words if word)


def _again(*without: str) -> str:
    """The command that resumes: this one, except that a second --fresh would start over."""
    words = [word for word in sys.argv[1:] if word not in (without or ("--fresh",))]
    return shlex.join([program(), *words])


def render_page(root: Path, store_url: str) -> Path | None:
    """The page of the run; a search that is done is not failed by a page that cannot be made."""
    from recsearch.cli.report import render

    try:
        pages, _, failures = render([root], Path("reports"), store_url)
    except (RecsearchError, OSError) as err:
        failures, pages = [str(err)], []
    for failure in failures:
        click.echo(f"no page: {failure}", err=True)
    return pages[0] if pages else None
