"""What a search must beat: a tuned bias model, popularity, and chance, on the same split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsearch.bias import learn_bias
from recsearch.evaluation import Scores, chance, evaluate, parse
from recsearch.folds import mean_metrics

if TYPE_CHECKING:
    from recsearch.data import Split

LEAST, MOST = -1.0, 2.0
"""Powers of ten between which the dampings are tuned: 0.1 to 100 ratings in advance."""

COARSE_STEP, FINE_STEP = 0.25, 0.005
"""Steps of the grid and of the last refinement, in powers of ten."""


def compute_baselines(split: Split, metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Score the baselines; deterministic, and cheap enough for every start of a search.

    Args:
        split: the split that the search validates on.
        metrics: names of what is measured.

    Returns:
        ``{"config": …, "metrics": {name: value}}`` by name. ``bias`` has its dampings tuned for
        RMSE on the held-out ratings, so it is as favoured as the best trial is; it is there if
        rating metrics are asked for and ratings differ. ``popular`` ranks by number of training
        ratings; ``chance`` is the expectation of a random ranking. These two have ranking metrics
        only and are there if any are asked for.

    Raises:
        UsageError: an unknown metric.
    """
    parsed = [parse(name) for name in metrics]
    ranking = [metric.name for metric in parsed if metric.kind == "ranking"]
    found: dict[str, dict[str, Any]] = {}
    if len(ranking) < len(parsed) and _ratings_differ(split):
        user, item = tune_damping(split)
        found["bias"] = {
            "config": {"damping": {"user": user, "item": item}},
            "metrics": evaluate(bias_scores(split, user, item), split, metrics),
        }
    if ranking:
        popular = evaluate(popularity_scores(split), split, ranking)
        found["popular"] = {"config": {}, "metrics": popular}
        found["chance"] = {"config": {}, "metrics": chance(split, ranking)}
    return found


def mean_baselines(splits: Sequence[Split], metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The baselines of several folds as of one: the means of what each scores.

    Args:
        splits: the split of every fold.
        metrics: names of what is measured.

    Returns:
        As `compute_baselines` for a single fold. For more, a baseline is there if every fold has
        it; ``folds`` has the metrics of each, and ``config``, where it has any, those of each.
    """
    found = [compute_baselines(split, metrics) for split in splits]
    if len(found) == 1:
        return found[0]
    means: dict[str, dict[str, Any]] = {}
    for name in found[0]:
        if all(name in each for each in found):
            each_config = [each[name]["config"] for each in found]
            folds = [each[name]["metrics"] for each in found]
            means[name] = {
                "config": {"folds": each_config} if any(each_config) else {},
                "metrics": mean_metrics(folds),
                "folds": folds,
            }
    return means


def bias_scores(split: Split, damping_user: float, damping_item: float) -> Scores:
    """Predictions of a bias model with these dampings; none is NaN."""
    mean, item, user = learn_bias(split.train, split.n_items, damping_user, damping_item)
    base = np.float32(mean) + item

    def scores(users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        chosen = base if items is None else base[items]
        block: np.ndarray = chosen[None, :] + user[users][:, None]
        return block

    return scores


def popularity_scores(split: Split) -> Scores:
    """Number of training ratings of each item, alike for all users."""
    counts = np.bincount(split.train.items, minlength=split.n_items).astype(np.float32)

    def scores(users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        chosen = counts if items is None else counts[items]
        return np.broadcast_to(chosen, (len(users), len(chosen)))

    return scores


def tune_damping(split: Split) -> tuple[float, float]:
    """Dampings (user, item) with the least RMSE on the held-out ratings.

    A grid over both, then a pattern search around its best point with ever smaller steps. The RMSE
    is a smooth and flat function of the dampings, so this finds its minimum, always the same one.
    """
    search = _Search.of(split)
    powers = np.arange(LEAST, MOST + COARSE_STEP / 2, COARSE_STEP)
    user, item = _best_of(search, powers, powers)
    step = COARSE_STEP / 2
    while step >= FINE_STEP:
        near = np.array([-step, 0.0, step])
        better = _best_of(search, _inside(user + near), _inside(item + near))
        step = step / 2 if better == (user, item) else step
        user, item = better
    return round(10.0**user, 4), round(10.0**item, 4)


def _inside(powers: np.ndarray) -> np.ndarray:
    inside: np.ndarray = np.unique(np.clip(powers, LEAST, MOST))
    return inside


def _best_of(
    search: _Search, user_powers: np.ndarray, item_powers: np.ndarray
) -> tuple[float, float]:
    """The best pair; ties go to the smaller item damping, then the smaller user damping."""
    table = np.array([search.rmse(10.0**user_powers, 10.0**item) for item in item_powers])
    row, column = np.unravel_index(np.argmin(table), table.shape)
    return float(user_powers[column]), float(item_powers[row])


def _ratings_differ(split: Split) -> bool:
    values = split.train.values
    return len(values) > 0 and bool(np.any(values != values[0]))


@dataclass(frozen=True, eq=False)
class _Search:
    """The bias model of the evaluation users alone, in float64, set up for many dampings.

    Attributes:
        item_sums: (n_items,) sum of centred training ratings; ``item_counts`` their number.
        items, rows: training ratings of the evaluation users: item number and user's position.
        user_sums: (n_eval,) sum of their centred ratings; ``user_counts`` their number.
        held_items, held_rows, held_values: held-out ratings, centred.
    """

    item_sums: np.ndarray
    item_counts: np.ndarray
    items: np.ndarray
    rows: np.ndarray
    user_sums: np.ndarray
    user_counts: np.ndarray
    held_items: np.ndarray
    held_rows: np.ndarray
    held_values: np.ndarray

    @classmethod
    def of(cls, split: Split) -> _Search:
        train, held, n_eval = split.train, split.heldout, len(split.eval_users)
        mean = float(np.mean(train.values, dtype=np.float64))
        centred = train.values.astype(np.float64) - mean
        position = np.full(split.n_users, -1)
        position[split.eval_users] = np.arange(n_eval)
        rows = np.repeat(position, np.diff(train.indptr))
        theirs = rows >= 0
        rows, items = rows[theirs], train.items[theirs]
        return cls(
            item_sums=np.bincount(train.items, weights=centred, minlength=split.n_items),
            item_counts=np.bincount(train.items, minlength=split.n_items),
            items=items,
            rows=rows,
            user_sums=np.bincount(rows, weights=centred[theirs], minlength=n_eval),
            user_counts=np.bincount(rows, minlength=n_eval),
            held_items=held.items,
            held_rows=np.repeat(np.arange(n_eval), np.diff(held.indptr)),
            held_values=held.values.astype(np.float64) - mean,
        )

    def rmse(self, damping_users: np.ndarray, damping_item: float) -> np.ndarray:
        """Mean over users of their RMSE, for each of ``damping_users``."""
        n_eval = len(self.user_counts)
        item = self.item_sums / (self.item_counts + damping_item)
        left = self.user_sums - np.bincount(self.rows, weights=item[self.items], minlength=n_eval)
        user = left / (self.user_counts + damping_users[:, None])
        errors = self.held_values - item[self.held_items] - user[:, self.held_rows]
        ends = np.concatenate(([0], np.flatnonzero(np.diff(self.held_rows)) + 1))
        totals = np.add.reduceat(errors**2, ends, axis=1)
        means: np.ndarray = np.sqrt(totals / np.bincount(self.held_rows)).mean(axis=1)
        return means
