"""Which runs can be compared with one another, and what keeps the others from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from analysis.formatting import plural
from analysis.values import dig
from recsearch.folds import fold_ids, folds_of
from recsearch.identity import short
from recsearch.run import RunView


class Basis(NamedTuple):
    """What two runs must share for their values to mean the same.

    Attributes:
        dataset: id of the data set.
        splits: id of what every validation fold trains and measures on.
        objective: name of the metric.
    """

    dataset: str
    splits: tuple[str, ...]
    objective: str

    @property
    def words(self) -> tuple[str, ...]:
        """As text, for names of files."""
        return (self.dataset, *self.splits, self.objective)


class Peers(NamedTuple):
    """Runs of one basis, best first; those without a result come last.

    Attributes:
        basis: what they share.
        runs: the runs.
        apart: why they cannot be compared with the first peers of the page; "" for these.
    """

    basis: Basis
    runs: tuple[RunView, ...]
    apart: str


def basis_of(run: RunView) -> Basis:
    """The basis of a run."""
    recorded = dig(run.identity, "split", "split_id")
    splits = tuple(str(each) for each in fold_ids(run.identity)) if recorded else ()
    dataset = str(dig(run.identity, "dataset", "dataset_id", default=""))
    return Basis(dataset, splits, run.objective.name)


def peers(runs: Sequence[RunView]) -> tuple[Peers, ...]:
    """Runs by basis, the largest set first."""
    found: dict[Basis, list[RunView]] = {}
    for run in runs:
        found.setdefault(basis_of(run), []).append(run)
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    first = ordered[0][1][0] if ordered else None
    return tuple(
        Peers(basis, best_first(members), "" if first is None else why_not(first, members[0]))
        for basis, members in ordered
    )


def best_first(runs: Sequence[RunView]) -> tuple[RunView, ...]:
    """Runs of one objective by their best, then by name; those without one come last."""

    def order(run: RunView) -> tuple[bool, float, str]:
        best = run.best()
        value = 0.0 if best is None else best[1].value(run.objective.name)
        return best is None, -value if run.objective.direction == "max" else value, run.path.name

    return tuple(sorted(runs, key=order))


def same_users(runs: Sequence[RunView]) -> bool:
    """Whether all runs were measured on the same users, so that these can be paired."""
    return len({basis_of(run).splits for run in runs}) <= 1


def why_not(one: RunView, other: RunView) -> str:
    """Why two runs cannot be compared by their objectives; "" if they can."""
    first, second = basis_of(one), basis_of(other)
    reasons = []
    if first.dataset != second.dataset:
        reasons.append(f"other ratings ({_dataset(one)} and {_dataset(other)})")
    elif first.splits != second.splits:
        if folds_of(one.identity) != folds_of(other.identity):
            folds = [plural(folds_of(run.identity), "validation fold") for run in (one, other)]
            reasons.append(f"other numbers of folds ({folds[0]} and {folds[1]})")
        else:
            ids = [
                ", ".join(map(short, each)) or "unknown" for each in (first.splits, second.splits)
            ]
            reasons.append(f"other splits of the same ratings ({ids[0]} and {ids[1]})")
    if first.objective != second.objective:
        reasons.append(f"other objectives ({first.objective} and {second.objective})")
    return " and ".join(reasons)


def _dataset(run: RunView) -> str:
    title = dig(run.identity, "dataset", "title", default="unknown data set")
    return f"{title}, {short(basis_of(run).dataset) or 'no id'}"
