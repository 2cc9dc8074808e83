"""``recsearch load``: a checkpoint as a working model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from recsearch.cli.options import json_option, run_path
from recsearch.errors import DataNotFoundError, UsageError


class EpochChoice(click.ParamType):  # type: ignore[type-arg]
    """A 1-based epoch number, ``best`` or ``last``."""

    name = "N|best|last"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Parse the option."""
        if value in ("best", "last"):
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor best nor last", param, ctx)


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--trial", type=int, help="Trial number.  [default: the best trial]")
@click.option("--by", help="Best by this metric, not the (first) objective.")
@click.option("--epoch", type=EpochChoice(), default="best", show_default=True, help="Which epoch.")
@click.option(
    "--fold",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Which validation fold's model, of a search with --folds.",
)
@click.option("--user", help="Print recommendations for this user id.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="How many recommendations.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write pipeline JSON and safetensors into this new folder.",
)
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Recompute the validation metrics; exit 3 if they differ from the record.",
)
@click.option(
    "--store",
    "store_url",
    envvar="RECSEARCH_STORE",
    help="Checkpoint store.  [default: the one of the run]",
)
@json_option
def load(
    run: Path,
    trial: int | None,
    by: str | None,
    epoch: Any,
    fold: int,
    user: str | None,
    count: int,
    out: Path | None,
    check: bool,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Load a checkpoint of RUN, check it, and recommend (--user) or export (--out)."""
    from recsearch.loading import fold_split, open_checkpoint

    loaded = open_checkpoint(
        run_path(run), trial=trial, epoch=epoch, fold=fold, store=store_url, by=by
    )
    split = None
    try:
        split = fold_split(loaded.view.identity, fold) if check or user else None
    except DataNotFoundError:
        click.echo(
            "the ratings are not at hand: metrics not recomputed, and what users "
            "already rated is not left out",
            err=True,
        )
    report: dict[str, Any] = {
        "run": loaded.view.name,
        "trial": loaded.trial.number,
        "epoch": loaded.row.epoch,
        **({"fold": fold} if loaded.row.folds else {}),
        "metrics": loaded.metrics,
        "config": loaded.trial.config,
    }
    if check and split is not None:
        report["checked"] = _check(loaded, split)
    if user is not None:
        report["recommendations"] = _recommend(loaded, split, user, count)
    if out is not None:
        from recsearch.export import export

        report["files"] = [str(path) for path in export(loaded, out)]
    if as_json:
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _show(loaded, report)


def _check(loaded: Any, split: Any) -> float:
    from recsearch.loading import check_metrics
    from recsearch.measuring import measure
    from recsearch.threads import use_one_thread

    use_one_thread()
    found = measure(loaded.model, loaded.family, split, tuple(loaded.metrics))
    return check_metrics(loaded.metrics, found, "reloaded")


def _recommend(loaded: Any, split: Any, user: str, count: int) -> list[dict[str, Any]]:
    import numpy as np
    from lenskit import recommend

    vocabulary = loaded.state["vocabulary"].tensors
    ids = vocabulary["user_ids"]
    wanted: Any = user
    if ids.dtype.kind in "iu":
        wanted = int(user) if user.lstrip("-").isdigit() else None
    if wanted is None or not np.isin(wanted, ids):
        raise UsageError(
            f"user {user}: not among the {len(ids)} users that the model was trained on.",
            hint=f"Users are named as in the data set, such as {ids[0]}.",
        )
    pipeline = loaded.pipeline(None if split is None else split.train)
    items = recommend(pipeline, wanted, n=count)
    titles = vocabulary.get("titles")
    numbers = {item: number for number, item in enumerate(vocabulary["item_ids"].tolist())}
    rows = []
    for rank, (item, score) in enumerate(
        zip(items.ids().tolist(), items.scores().tolist(), strict=True), start=1
    ):
        title = "" if titles is None else str(titles[numbers[item]])
        rows.append({"rank": rank, "item": item, "score": score, "title": title})
    return rows


def _show(loaded: Any, report: dict[str, Any]) -> None:
    fold = f", fold {report['fold']}" if "fold" in report else ""
    click.echo(
        f"loaded     {report['run']}, trial {report['trial']}, epoch {report['epoch']}{fold}"
    )
    for objective in loaded.view.objectives:
        click.echo(f"{objective.name:<10} {loaded.metrics[objective.name]:.6f}")
        if fold:
            click.echo(f"mean       {loaded.row.value(objective.name):.6f} over the folds")
    if "checked" in report:
        click.echo(
            f"checked    {len(loaded.metrics)} validation metrics recomputed, "
            f"equal to {report['checked']:.1e}"
        )
    for row in report.get("recommendations", ()):
        click.echo(f"{row['rank']:>4}  {row['score']:8.4f}  {row['item']:>8}  {row['title']}")
    for path in report.get("files", ()):
        click.echo(f"wrote      {path}")
