"""``recsearch predict``: recommendation lists of a stored checkpoint as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from recsearch.cli.load import EpochChoice
from recsearch.cli.options import run_path
from recsearch.errors import UsageError


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write: .parquet or .csv.",
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Items per list.",
)
@click.option(
    "--fold",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Which validation fold's model and users, of a search with --folds.",
)
@click.option("--trial", type=int, help="Trial number.  [default: the best trial]")
@click.option("--epoch", type=EpochChoice(), default="best", show_default=True, help="Which epoch.")
@click.option(
    "--users",
    default="validation",
    show_default=True,
    help="validation (users of that part), all, or a text file with one user id per line.",
)
@click.option(
    "--store",
    "store_url",
    envvar="RECSEARCH_STORE",
    help="Checkpoint store.  [default: the one of the run]",
)
def predict(
    run: Path,
    out: Path,
    count: int,
    fold: int,
    trial: int | None,
    epoch: Any,
    users: str,
    store_url: str | None,
) -> None:
    """Write what a stored checkpoint of RUN recommends: user_id, item_id, score, rank.

    What users rated in the training ratings is left out. The same command writes the same bytes.
    """
    from recsearch.loading import fold_split, open_checkpoint
    from recsearch.measuring import scoring
    from recsearch.prediction import lists_table, write_csv, write_parquet
    from recsearch.threads import use_one_thread

    writers = {".parquet": write_parquet, ".csv": write_csv}
    if out.suffix not in writers:
        raise UsageError(
            f"--out {out}: the ending {out.suffix or '(none)'} is no format; expected .parquet or "
            ".csv."
        )
    use_one_thread()
    loaded = open_checkpoint(run_path(run), trial=trial, epoch=epoch, fold=fold, store=store_url)
    split = fold_split(loaded.view.identity, fold)
    scores = scoring(loaded.model, loaded.family, split).scores
    table = lists_table(scores, split, _chosen(users, split), count)
    writers[out.suffix](out, table)
    click.echo(
        f"wrote      {out}: {len(table):,} rows of trial {loaded.trial.number}, epoch "
        f"{loaded.row.epoch}"
    )


def _chosen(users: str, split: Any) -> np.ndarray:
    """User numbers, ascending.

    Raises:
        UsageError: the file is absent, names no user, or one that the model does not know.
    """
    if users == "validation":
        return np.asarray(split.eval_users)
    if users == "all":
        return np.arange(split.n_users)
    path = Path(users)
    try:
        words = list(map(str.strip, path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(
            f"--users {users}: expected validation, all or a readable file ({err})."
        ) from err
    numbers = {str(user): number for number, user in enumerate(split.user_ids.tolist())}
    for line, word in enumerate(words, start=1):
        if word and word not in numbers:
            raise UsageError(
                f"{path}, line {line}: user {word} is not among the {len(numbers)} users of the "
                "data set."
            )
    chosen = sorted({numbers[word] for word in words if word})
    if not chosen:
        raise UsageError(f"--users {path}: names no user; expected one user id per line.")
    return np.array(chosen, dtype=np.int64)
