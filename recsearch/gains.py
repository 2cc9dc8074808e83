"""Is the gain real? The best epoch against the default configuration and the baseline, by user.

A gain that is smaller than what other users would have made of it is none. The values of each
validation user are paired, and the difference of the means gets a bootstrap interval
(`recsearch.comparison`). Being the best of many trials, the best is favoured by this: what has no
gain here has none, and what has one is checked by ``recsearch final``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recsearch.baselines import bias_scores, popularity_scores
from recsearch.comparison import Comparison, Sample, compare, holm
from recsearch.data import Split
from recsearch.epochs import EpochRow, TrialView
from recsearch.errors import RecsearchError, StoreError, UsageError
from recsearch.evaluation import Metric, parse, per_user
from recsearch.final.baselines import tuned_damping
from recsearch.findings import best_place, keep_gains, read_gains
from recsearch.loading import Loaded, fold_split, open_checkpoint
from recsearch.measuring import measure_users
from recsearch.run import RunView

BEST = "best"
MOST_SECONDS = 20.0
"""A search compares its best by itself if evaluating the two models took no longer than this."""


def measure_gains(
    root: Path, store: str | None = None, split: Split | None = None
) -> dict[str, Any]:
    """Measure the best epoch of a run, and what it is compared with, user by user.

    Args:
        root: the run folder.
        store: the store, if not that of the run.
        split: the validation split of fold 0, where it is at hand already.

    Returns:
        Which epoch is the ``best``, and for ``default``, ``bias`` and
        ``popular``, as far as they are known, the gain in the objective (positive is better), its
        95 % interval and p values, after Holm's correction over them. ``missing`` says what could
        not be measured, and why. Of a search over several folds that is fold 0.

    Raises:
        StoreError: the checkpoint of the best epoch is not in the store, or damaged.
        DataError: the ratings are not at hand.
        UsageError: no epoch has finished yet.
    """
    best = open_checkpoint(root, store=store)
    view = best.view
    split = fold_split(view.identity, 0) if split is None else split
    metric = by_user(view.objective)
    missing: list[dict[str, str]] = []
    one = _sample(BEST, best, split, metric)
    others = [*_default(root, best, split, metric, store, missing), *_baseline(view, split, metric)]
    found = [compare([one, other], [metric.name])[0] for other in others]
    corrected = holm([row.p_wilcoxon for row in found])
    return {
        "metric": metric.name,
        "best": best_place(best.trial, best.row),
        "gains": [_gain(*each, metric) for each in zip(found, corrected, strict=True)],
        "missing": missing,
    }


def _gain(row: Comparison, p_holm: float, metric: Metric) -> dict[str, Any]:
    """One gain; positive is better, whatever the direction of the metric."""
    sign = 1.0 if metric.direction == "max" else -1.0
    ends = sign * row.low, sign * row.high
    return {
        "over": row.other,
        "users": row.users,
        "value": row.mean_other,
        "gain": sign * row.difference,
        "low": min(ends),
        "high": max(ends),
        "p_wilcoxon": row.p_wilcoxon,
        "p_wilcoxon_holm": p_holm,
        "p_t": row.p_t,
        "better": row.better == BEST,
    }


def write_gains(root: Path, store: str | None = None, split: Split | None = None) -> dict[str, Any]:
    """`measure_gains`, kept in the run folder for its page."""
    document = measure_gains(root, store, split)
    keep_gains(root, document)
    return document


def by_user(objective: Metric) -> Metric:
    """The metric that users have values of: that over all ratings has none."""
    return parse(objective.name.removesuffix("-pooled"))


def note_gains(root: Path, store: str, split: Split) -> str | None:
    """`write_gains` at the end of a search, which nothing in it must fail; what is wrong, if any.

    It is left to the user where evaluating takes long.
    """
    view = RunView.open(root)
    best, default = view.best(), _of_default(view)
    if best is None or sum(each[1].eval_s for each in (best, default) if each) > MOST_SECONDS:
        return None
    if (read_gains(root) or {}).get("best") == best_place(*best):
        return None
    try:
        write_gains(root, store, split)
    except (RecsearchError, OSError, MemoryError) as err:
        return f"the best was not compared with the default by user: {err}"
    return None


def _of_default(view: RunView) -> tuple[TrialView, EpochRow] | None:
    trial = next((trial for trial in view.trials if trial.origin == "default"), None)
    row = None if trial is None else view.trial_best(trial)
    return None if trial is None or row is None else (trial, row)


def _default(
    root: Path,
    best: Loaded,
    split: Split,
    metric: Metric,
    store: str | None,
    missing: list[dict[str, str]],
) -> Iterator[Sample]:
    found = _of_default(best.view)
    if found is None or found[0].number == best.trial.number:
        return
    try:
        default = open_checkpoint(root, trial=found[0].number, store=store)
        yield _sample("default", default, split, metric)
    except (StoreError, UsageError) as err:
        missing.append({"over": "default", "reason": str(err).partition("\n")[0]})


def _baseline(view: RunView, split: Split, metric: Metric) -> Iterator[Sample]:
    name = "bias" if metric.kind == "rating" else "popular"
    if name not in view.baselines:
        return
    if name == "bias":
        config = view.baselines[name]["config"]
        first = config["folds"][0] if "folds" in config else config
        scores = bias_scores(split, *tuned_damping(first))
    else:
        scores = popularity_scores(split)
    yield _as_sample(name, split, per_user(scores, split, [metric.name]))


def _sample(name: str, loaded: Loaded, split: Split, metric: Metric) -> Sample:
    values = measure_users(loaded.model, loaded.family, split, [metric.name])
    return _as_sample(name, split, values)


def _as_sample(name: str, split: Split, values: Any) -> Sample:
    return Sample(name, split.split_id, split.user_ids[split.eval_users], values, {})
