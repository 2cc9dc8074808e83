"""From a run back to a working model: `load` gives a LensKit pipeline, `open_checkpoint` the parts.

Nothing is unpickled, and the ratings need not be at hand: vocabulary, biases and embeddings are in
the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recsearch.epochs import EpochRow, TrialView
from recsearch.errors import CheckpointNotFoundError, UsageError, VerificationError
from recsearch.folds import check_fold, fold_ids
from recsearch.models import Family, Model, resolve
from recsearch.run import RunView
from recsearch.state import State
from recsearch.store import Store

if TYPE_CHECKING:
    from lenskit.pipeline import Pipeline

    from recsearch.data import Interactions, Ratings, Split, SplitSpec

TOLERANCE = 1e-6
"""Largest difference between a recorded metric and the same metric recomputed."""

EpochName = int | Literal["best", "last"]


@dataclass(frozen=True)
class Loaded:
    """A checkpoint of a run, verified and ready to use; of one validation fold if it has several.

    ``metrics`` are what that fold measured: where there is a single one, those of the row.
    """

    view: RunView
    trial: TrialView
    row: EpochRow
    family: Family
    state: State
    model: Model
    fold: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        """What this very model had on its validation part."""
        return self.row.of_fold(self.fold)

    def pipeline(self, history: Interactions | None = None) -> Pipeline:
        """A LensKit pipeline; with ``history`` it does not recommend what users already have."""
        return self.model.to_pipeline(history)


def load(
    run: str | Path,
    *,
    trial: int | None = None,
    epoch: EpochName = "best",
    fold: int = 0,
    store: str | Path | None = None,
    by: str | None = None,
) -> Pipeline:
    """Load a trained model as a LensKit pipeline.

    >>> pipeline = recsearch.load("runs/als-ml1m")            # doctest: +SKIP
    >>> lenskit.recommend(pipeline, 42, n=10)                  # doctest: +SKIP

    Args:
        run: a run folder, or a folder written by ``recsearch load --out``.
        trial: trial number; the run's best trial by default.
        epoch: 1-based epoch, ``"best"`` (of the trial, by the mean over its folds) or ``"last"``.
        fold: validation fold whose model it is; a search without folds has fold 0 alone.
        store: the checkpoint store; the one that the run was written with by default.
        by: the metric that decides what is best; the run's (first) objective by default.

    Raises:
        UsageError: no such run, trial, epoch or fold.
        StoreDamagedError: stored bytes do not match their hash.
    """
    from recsearch.export import is_export, load_export

    if is_export(Path(run)):
        return load_export(Path(run)).to_pipeline(None)
    return open_checkpoint(run, trial=trial, epoch=epoch, fold=fold, store=store, by=by).pipeline()


def open_checkpoint(
    run: str | Path,
    *,
    trial: int | None = None,
    epoch: EpochName = "best",
    fold: int = 0,
    store: str | Path | None = None,
    by: str | None = None,
) -> Loaded:
    """Restore one checkpoint of a run; arguments and errors as for `load`."""
    view = RunView.open(run)
    check_fold(fold, view.identity)
    chosen, row = _choose(view, trial, epoch, by)
    key = chosen.fold_keys[fold]
    family = resolve(view.identity["search"]["model"]["class"])
    with Store.open(store or view.store_url, create=False) as opened:
        try:
            state = opened.restore(
                key,
                row.epoch,
                # Where it was trained, as other devices compute other bits.
                remake=lambda part, name, source: family.on(
                    view.identity.get("device", "cpu")
                ).remake(chosen.config, fold_split(view.identity, fold), source),
            )
        except CheckpointNotFoundError as err:
            stored = opened.epochs(key)
            raise CheckpointNotFoundError(
                f"trial {chosen.number} of {view.name}: epoch {row.epoch} is not in the store "
                f"(stored: {stored or 'none'}).",
                hint=f"Load a stored one with --epoch N, or retrain: recsearch verify "
                f"{view.path / 'best-config.json'}",
            ) from err
    model = family.load(chosen.config, state)
    return Loaded(view, chosen, row, family, state, model, fold)


def check_metrics(
    recorded: dict[str, float], found: dict[str, float], what: str, tolerance: float = TOLERANCE
) -> float:
    """Compare recorded with recomputed metrics; the largest absolute difference.

    Raises:
        VerificationError: one differs by more than ``tolerance``; names all that do.
    """
    differences = {
        name: math.inf
        if (value is None) != (name not in found or not math.isfinite(found[name]))
        else 0.0
        if value is None
        else abs(found[name] - value)
        for name, value in recorded.items()
    }
    wrong = [name for name, difference in differences.items() if difference > tolerance]
    if wrong:
        lines = [f"  {name}: recorded {recorded[name]}, found {found.get(name)}" for name in wrong]
        raise VerificationError(
            f"{what}: {len(wrong)} of {len(recorded)} metrics differ by more than {tolerance:g}:\n"
            + "\n".join(lines),
            hint="Other library versions or another machine can cause this; compare `versions` in "
            "best-config.json. Otherwise check the store: recsearch store verify",
        )
    return max(differences.values(), default=0.0)


def split_of(identity: Mapping[str, Any], part: int | None = None) -> Split:
    """The very split that a run or a best-config.json names.

    Args:
        identity: content of ``run.json`` or of a best-config.json.
        part: another part of the same split; by default the one that is named, whose id is checked.

    Raises:
        DataNotFoundError: the ratings are not at hand.
        VerificationError: the data set or the split has another id than recorded.
    """
    from recsearch.data import load_split

    recorded = identity["split"]
    chosen = recorded["part"] if part is None else part
    split = load_split(ratings_of(identity), split_spec(identity), chosen)
    checks = [("data set", identity["dataset"]["dataset_id"], split.dataset_id)]
    if chosen == recorded["part"]:
        checks.append(("split", recorded["split_id"], split.split_id))
    for name, want, found in checks:
        if want != found:
            raise VerificationError(
                f"the {name} at hand is another one: id {found[:12]}, recorded {want[:12]}.",
                hint=f"See what is at hand: recsearch data show {identity['dataset']['name']}",
            )
    return split


def fold_split(identity: Mapping[str, Any], fold: int) -> Split:
    """The split of one validation fold of a run or a best-config.json.

    Raises:
        DataNotFoundError: the ratings are not at hand.
        VerificationError: the data set or the split has another id than recorded.
    """
    split = split_of(identity, fold if fold else None)
    want = fold_ids(identity)[fold]
    if split.split_id != want:
        raise VerificationError(
            f"the split of fold {fold} at hand is another one: id {split.split_id[:12]}, recorded "
            f"{want[:12]}.",
            hint=f"See what is at hand: recsearch data show {identity['dataset']['name']}",
        )
    return split


def split_spec(identity: Mapping[str, Any]) -> SplitSpec:
    """How the data of a run are split."""
    from recsearch.data import spec_of_table

    return spec_of_table(identity["split"])


def ratings_of(identity: Mapping[str, Any]) -> Ratings:
    """The ratings that a run or a best-config.json names, read and prepared as it says.

    Raises:
        DataNotFoundError: they are not at hand.
        DataError: they cannot be used.
    """
    from recsearch.data import load_dataset, parse_steps, reading_of_table

    recorded = identity["dataset"]
    return load_dataset(
        recorded["name"],
        reading=reading_of_table(recorded.get("reading", {})),
        steps=parse_steps(recorded.get("prepare", ())),
    )


def _choose(
    view: RunView, number: int | None, epoch: EpochName, by: str | None
) -> tuple[TrialView, EpochRow]:
    if number is None:
        found = view.best(by)
        if found is None:
            raise UsageError(
                f"{view.name}: no epoch has finished yet.",
                hint=f"See how far it is: recsearch status {view.path}",
            )
        trial, best = found
    else:
        trial = view.trial(number)
        top = view.trial_best(trial, by)
        if top is None:
            raise UsageError(
                f"trial {number} of {view.name} has no finished epoch.",
                hint=f"Choose another: recsearch status {view.path}",
            )
        best = top
    if epoch == "best":
        return trial, best
    if epoch == "last":
        return trial, trial.epochs[-1]
    if not 1 <= epoch <= len(trial.epochs):
        raise UsageError(
            f"trial {trial.number} of {view.name} has epochs 1 to {len(trial.epochs)}, not {epoch}",
            hint=f"Choose one of them, best or last: recsearch load {view.path} --epoch best",
        )
    return trial, trial.epochs[epoch - 1]
