"""Optuna's evaluators of importance on drawn trials: quiet and deterministic."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from analysis.parameters import Parameter

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.importance import BaseImportanceEvaluator
    from optuna.trial import FrozenTrial

DEPTH = 4
"""Of the trees of fANOVA; deeper ones cost more and follow the noise of 20 to 100 trials."""
FEW_VALUES = 12


class Codes(NamedTuple):
    """Trials in numbers.

    Attributes:
        parameters: one per column.
        codes: a row per trial: the position in the range, 0 to 1 on its own scale, or the number
            of the choice.
        costs: objective of each trial, lower is better.
    """

    parameters: tuple[Parameter, ...]
    codes: np.ndarray
    costs: np.ndarray


class Evaluation:
    """Shares of importance by PED-ANOVA and fANOVA for any draw of the trials.

    As a context, it keeps log lines and warnings of Optuna from the screen.
    """

    def __init__(self, data: Codes, top: int):
        self._costs = data.costs
        self._top = top
        self._data = data
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        import optuna

        level = optuna.logging.get_verbosity()
        self._stack.callback(optuna.logging.set_verbosity, level)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        self._study = _study()
        self._ped = _ped_trials(self._data)
        self._forest = _forest_trials(self._data)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def shares(
        self, rows: np.ndarray, trees: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Shares by PED-ANOVA and fANOVA, in the order of the parameters; each sums to 1.

        Args:
            rows: the trials drawn, with repetitions.
            trees: size of the forest of fANOVA.
            seed: of the forest.

        Returns:
            None where the trials drawn tell nothing: all alike, or no best ones among them.
        """
        from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

        costs = self._costs[rows]
        if np.all(costs <= np.partition(costs, self._top - 1)[self._top - 1]):
            return None
        # Half a trial less than the number, so that rounding up gives it whatever the last bit.
        quantile = (self._top - 0.5) / len(rows)
        apart = PedAnovaImportanceEvaluator(target_quantile=quantile)
        forest = FanovaImportanceEvaluator(n_trees=trees, max_depth=DEPTH, seed=seed)
        ped = self._evaluate(apart, [self._ped[row] for row in rows])
        fanova = self._evaluate(forest, [self._forest[row] for row in rows])
        return None if ped is None or fanova is None else (ped, fanova)

    def _evaluate(
        self, evaluator: BaseImportanceEvaluator, drawn: list[FrozenTrial]
    ) -> np.ndarray | None:
        self._study.drawn = drawn
        found = evaluator.evaluate(self._study)
        shares = np.array([found[name] for name in sorted(found)], dtype=np.float64)
        total = shares.sum()
        return shares / total if math.isfinite(total) and total > 0 else None


def _ped_trials(data: Codes) -> list[FrozenTrial]:
    """Trials as PED-ANOVA takes them.

    It parts a range into 50 cells. Whole numbers and grids that fill a few of them alone would look
    as if all trials had gathered there, so values are numbered where there are few.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    columns: list[list[Any]] = []
    spaces: list[BaseDistribution] = []
    for parameter, codes in zip(data.parameters, data.codes.T, strict=True):
        seen, ranks = np.unique(codes, return_inverse=True)
        if parameter.scale == "category":
            columns.append(codes.astype(int).tolist())
            spaces.append(CategoricalDistribution(tuple(range(len(parameter.choices)))))
        elif len(seen) <= FEW_VALUES:
            columns.append(ranks.tolist())
            spaces.append(IntDistribution(0, len(seen) - 1))
        else:
            columns.append(codes.tolist())
            spaces.append(FloatDistribution(0.0, 1.0))
    return _trials(columns, spaces, data.costs)


def _forest_trials(data: Codes) -> list[FrozenTrial]:
    """Trials as fANOVA takes them: choices are numbered.

    A tree parts numbers into single choices as well, and Optuna's time for choices that are not
    numbered grows exponentially with how many there are.
    """
    from optuna.distributions import FloatDistribution, IntDistribution

    columns: list[list[Any]] = []
    spaces: list[BaseDistribution] = []
    for parameter, codes in zip(data.parameters, data.codes.T, strict=True):
        if parameter.scale == "category":
            columns.append(codes.astype(int).tolist())
            spaces.append(IntDistribution(0, len(parameter.choices) - 1))
        else:
            columns.append(codes.tolist())
            spaces.append(FloatDistribution(0.0, 1.0))
    return _trials(columns, spaces, data.costs)


def _trials(
    columns: list[list[Any]], spaces: Sequence[BaseDistribution], costs: np.ndarray
) -> list[FrozenTrial]:
    """Optuna's trials, each with an id of its own, by which PED-ANOVA tells them apart.

    Parameters are named by their place, so that no text of a run has a meaning to Optuna.
    """
    from optuna.trial import FrozenTrial, TrialState

    names = [f"{column:04d}" for column in range(len(columns))]
    distributions = dict(zip(names, spaces, strict=True))
    return [
        FrozenTrial(
            number=row, trial_id=row, state=TrialState.COMPLETE, value=float(cost),
            datetime_start=None, datetime_complete=None, distributions=distributions,
            user_attrs={}, system_attrs={}, intermediate_values={},
            params=dict(zip(names, codes, strict=True)),
        )
        for row, (*codes, cost) in enumerate(zip(*columns, costs, strict=True))
    ]  # fmt: skip


def _study() -> Any:
    """A study to minimise whose trials are those last drawn.

    Adding trials to a study for every resample would take longer than all the rest.
    """
    import optuna

    class Drawn(optuna.Study):
        drawn: list[FrozenTrial] = []  # noqa: RUF012 - replaced, never changed

        def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
            return self.drawn

    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(storage=storage, study_name="run", direction="minimize")
    return Drawn(study_name="run", storage=storage)
