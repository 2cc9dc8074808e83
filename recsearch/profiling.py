"""The data profile of a run that has none yet, from the ratings that it names."""

from __future__ import annotations

from pathlib import Path

from recsearch.data.profile import data_profile
from recsearch.files import write_atomic
from recsearch.folds import folds_of
from recsearch.loading import fold_split, ratings_of
from recsearch.run import RunView
from recsearch.run_paths import RunPaths


def write_profile(root: Path) -> Path:
    """Write ``data-profile.json`` of the run in a folder; an earlier one is replaced.

    Raises:
        UsageError: the folder holds no run.
        DataNotFoundError: the ratings are not at hand.
        VerificationError: the data set or the split at hand is not the one of the run.
    """
    identity = RunView.open(root).identity
    splits = [fold_split(identity, fold) for fold in range(folds_of(identity))]
    path = RunPaths(root).data_profile
    write_atomic(path, data_profile(ratings_of(identity), splits))
    return path
