"""Rating metrics: errors of the predictions of held-out ratings.

``RMSE`` and ``MAE`` are means over users of each user's own error, as LensKit's list metrics are;
``RMSE-pooled`` and ``MAE-pooled`` weigh every rating alike, as LensKit's global metrics do. The two
differ by more than most models do, hence the different names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsearch.evaluation.metrics import Metric
from recsearch.evaluation.prepared import Prepared


@dataclass(frozen=True, eq=False)
class PredictionErrors:
    """Sums of prediction errors by user; every user has at least one rating.

    Attributes:
        held: the held-out ratings.
        predictions: (n,) float32 aligned with them, none of them NaN.
    """

    held: Prepared
    predictions: np.ndarray

    @cached_property
    def squared(self) -> np.ndarray:
        """(n_users,) float64, sum of squared errors."""
        return self.held.by_user(self._errors**2)

    @cached_property
    def absolute(self) -> np.ndarray:
        """(n_users,) float64, sum of absolute errors."""
        return self.held.by_user(np.abs(self._errors))

    @cached_property
    def _errors(self) -> np.ndarray:
        errors: np.ndarray = self.predictions.astype(np.float64) - self.held.ratings
        return errors


def rating_values(metric: Metric, errors: PredictionErrors) -> np.ndarray:
    """Values of a rating metric, (n_users,) float64; pooled ones are the user's own error too."""
    counts = errors.held.counts
    if metric.base.startswith("RMSE"):
        values: np.ndarray = np.sqrt(errors.squared / counts)
    else:
        values = errors.absolute / counts
    return values


def rating_mean(metric: Metric, errors: PredictionErrors) -> float:
    """The metric over all users: mean of their values, or pooled over all ratings."""
    n_ratings = len(errors.predictions)
    if metric.base == "RMSE-pooled":
        return float(np.sqrt(errors.squared.sum() / n_ratings))
    if metric.base == "MAE-pooled":
        return float(errors.absolute.sum() / n_ratings)
    return float(rating_values(metric, errors).mean())
