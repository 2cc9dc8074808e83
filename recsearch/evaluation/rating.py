"""Rating metrics: errors of the predictions of held-out ratings.

``RMSE`` and ``MAE`` are means over users of each user's own error, as LensKit's list metrics are;
``RMSE-pooled`` and ``MAE-pooled`` weigh every rating alike, as LensKit's global metrics do. The two
differ by more than most models do, hence the different names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsearch.evaluation.metrics import Metric


@dataclass(frozen=True, eq=False)
class PredictionErrors:
    """Sums of prediction errors by user; every user has at least one rating.

    Attributes:
        squared: (n_users,) float64, sum of squared errors.
        absolute: (n_users,) float64, sum of absolute errors.
        counts: (n_users,) int64, number of ratings.
    """

    squared: np.ndarray
    absolute: np.ndarray
    counts: np.ndarray


def prediction_errors(
    indptr: np.ndarray, values: np.ndarray, predictions: np.ndarray
) -> PredictionErrors:
    """Add up errors by user.

    Args:
        indptr: (n_users + 1,) rows of the flat arrays.
        values: (n,) held-out ratings.
        predictions: (n,) predicted ratings, none of them NaN.
    """
    counts = np.diff(indptr)
    users = np.repeat(np.arange(len(counts)), counts)
    errors = predictions.astype(np.float64) - values
    return PredictionErrors(
        squared=np.bincount(users, weights=errors**2, minlength=len(counts)),
        absolute=np.bincount(users, weights=np.abs(errors), minlength=len(counts)),
        counts=counts,
    )


def rating_values(metric: Metric, errors: PredictionErrors) -> np.ndarray:
    """Values of a rating metric, (n_users,) float64; pooled ones are the user's own error too."""
    if metric.base.startswith("RMSE"):
        values: np.ndarray = np.sqrt(errors.squared / errors.counts)
    else:
        values = errors.absolute / errors.counts
    return values


def rating_mean(metric: Metric, errors: PredictionErrors) -> float:
    """The metric over all users: mean of their values, or pooled over all ratings."""
    if metric.base == "RMSE-pooled":
        return float(np.sqrt(errors.squared.sum() / errors.counts.sum()))
    if metric.base == "MAE-pooled":
        return float(errors.absolute.sum() / errors.counts.sum())
    return float(rating_values(metric, errors).mean())
