"""One fold of a trial: a model that is trained, evaluated and committed epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from recsearch.data import Split
from recsearch.errors import RecsearchError, StoreDamagedError, StoreError
from recsearch.files import number_or_none
from recsearch.identity import derive_seed
from recsearch.measuring import measure
from recsearch.models import Family, Model, Remade
from recsearch.models.piped import gives_blocks
from recsearch.plan import TrialPlan
from recsearch.state import not_finite
from recsearch.store import Saved, Store
from recsearch.store.retention import All
from recsearch.store.staged import Staged
from recsearch.store.track import Codec, Track
from recsearch.takeover import TakenFold


class NonFiniteObjectiveError(RecsearchError):
    """The objective or the model of an epoch is NaN or infinite: the trial diverged."""


@dataclass(frozen=True)
class FoldEpoch:
    """One epoch of one fold: its row, and what saving it took; ``trained`` if it was now."""

    row: dict[str, Any]
    trained: bool
    save_s: float = 0.0
    stored_bytes: int = 0
    logical_bytes: int = 0


class FoldTrainer:
    """Brings one fold of a trial to its epochs, one after the other.

    Epochs that were taken over are read, the others trained from the last of them. Use it as a
    context manager: it keeps what it saved last in memory.

    Args:
        plan: of this fold; its key is the fold's.
        family: of the model.
        split: what the fold trains and validates on.
        store: where its checkpoints are.
        taken: what it need not train.
        made: what of its state need not be stored for good; None for nothing.
    """

    def __init__(
        self,
        plan: TrialPlan,
        family: Family,
        split: Split,
        store: Store,
        taken: TakenFold,
        made: Remade | None,
    ):
        self.plan = plan
        self._family, self._split, self._store = family, split, store
        self._rows = list(taken.rows)
        self._taken: TakenFold | None = taken
        self._foreign = {row["epoch"] for row in taken.rows if not plan.trained(row)}
        self._made = made
        self._done = 0
        self._model: Model | None = None
        self._track: Track | None = None
        self._open = ExitStack()

    def __enter__(self) -> FoldTrainer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
        self._model = self._track = self._taken = None
        with suppress(StoreError):
            self._release()

    @property
    def gives_blocks(self) -> bool:
        """Whether the model, once there is one, scores blocks of users and items."""
        return self._model is None or gives_blocks(self._model)

    def reach(self, epoch: int) -> FoldEpoch:
        """The next epoch, durable: read if it was taken over, else trained and committed.

        Raises:
            NonFiniteObjectiveError: the objective diverged; earlier checkpoints stay.
            StoreError: a checkpoint cannot be written or read back.
        """
        self._done = epoch
        if epoch <= len(self._rows):
            return FoldEpoch(self._rows[epoch - 1], trained=False)
        model, track = self._begin()
        return self._train(model, track, epoch)

    def retain(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Drop what the trial's policy keeps no more of the epochs in the trial's ``history``."""
        plan = self.plan
        self._store.retain(plan.key, plan.policy, plan.records(history), owner=plan.owner)

    def thin(self, made: Remade, epochs: set[int]) -> None:
        """Store no longer what can be computed again of these epochs."""
        for epoch in epochs:
            source = (epoch - made.epochs_back, *made.source)
            array = (made.part, made.array)
            self._store.thin(self.plan.key, epoch, array, source, owner=self.plan.owner)

    def _begin(self) -> tuple[Model, Track]:
        """Model and track; where epochs were taken over, they go on from the last of these."""
        if self._model is None or self._track is None:
            taken, self._taken = self._taken, None
            self._model = create_model(self.plan, self._family, self._split)
            if taken is not None and taken.state is not None:
                self._model.load_state(taken.state)
            # Where every epoch stays, each is stored as little more than its difference to the
            # one before. A difference keeps what it is over: none where epochs are to go, nor to
            # an array that is.
            stay = self.plan.policy == All()
            codec: Codec = "small" if stay else "auto"
            stays: tuple[str, ...] = (self._made.part,) if self._made else ()
            base = None if taken is None else taken.base
            self._track = self._open.enter_context(
                self._store.track(codec=codec, after=base, whole=stays if stay else None)
            )
        return self._model, self._track

    def _train(self, model: Model, track: Track, epoch: int) -> FoldEpoch:
        plan = self.plan
        began = time.perf_counter()
        model.train_epoch()
        trained = time.perf_counter()
        state = model.state()
        if (what := not_finite(state)) is not None:
            raise NonFiniteObjectiveError(f"{what} is not finite after epoch {epoch}: it diverged.")
        # Encoding and hashing the blobs overlaps with the evaluation.
        staged = track.stage(state)
        try:
            metrics = measure(model, self._family, self._split, plan.metrics)
            for objective in plan.objectives:
                _check_objective(objective.name, metrics, epoch)
        except BaseException:
            staged.abandon()
            raise
        evaluated = time.perf_counter()
        row: dict[str, Any] = {
            "epoch": epoch,
            "metrics": {name: number_or_none(value) for name, value in metrics.items()},
            "train_s": trained - began,
            "eval_s": evaluated - trained,
            "run": plan.run_id,
            "trial": plan.number,
        }
        info = {
            **plan.about,
            **plan.claim(),
            "config": dict(plan.config),
            "metrics": row["metrics"],
            "history": [*self._rows, row],
        }
        saved = self._commit(staged, epoch, info)
        self._rows.append(row)
        save_s = time.perf_counter() - evaluated
        return FoldEpoch(row, True, save_s, saved.stored_bytes, saved.logical_bytes)

    def _commit(self, staged: Staged, epoch: int, info: dict[str, Any]) -> Saved:
        try:
            return staged.commit(self.plan.key, epoch, info)
        except StoreDamagedError:
            # Another run's manifest of the same epoch: ours takes its place.
            if not self._store.quarantine(self.plan.key, epoch):
                raise
            return staged.commit(self.plan.key, epoch, info)

    def _release(self) -> None:
        """Keep no epochs of other runs that this trial has ended without reaching."""
        ahead = {epoch for epoch in self._foreign if epoch > self._done}
        if not ahead:
            return
        for manifest in self._store.manifests(self.plan.key):
            if manifest.epoch in ahead and manifest.info.get("owner") == self.plan.owner:
                self._store.drop(manifest)


def create_model(plan: TrialPlan, family: Family, split: Split) -> Model:
    """The untrained model. One seed initialises all trials of a run: it is no hyperparameter."""
    return family.create(dict(plan.config), split, derive_seed(plan.seed, "init"))


def _check_objective(objective: str, metrics: Mapping[str, float], epoch: int) -> None:
    if not math.isfinite(metrics[objective]):
        raise NonFiniteObjectiveError(
            f"{objective} is {metrics[objective]} after epoch {epoch}: it diverged."
        )
