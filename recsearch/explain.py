"""A search file in words: what is searched, how, and when a trial ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recsearch.pruning import Asha, Halving, Median, Rule, parse_scheduler
from recsearch.spec.schema import PlateauStop

if TYPE_CHECKING:
    from recsearch.space import Domain
    from recsearch.spec import SearchSpec

_WORDS = {"min": "lowest", "max": "highest"}
METHODS = {
    "tpe": "each suggested from earlier results (tree-structured Parzen estimator)",
    "random": "drawn independently of each other",
    "grid": "all combinations in the order of the file",
}


def explain(spec: SearchSpec) -> list[str]:
    """Paragraphs for somebody who has not seen the file."""
    return [
        f"{spec.title}: {_goal(spec)}",
        _trials(spec),
        " ".join(_ends(spec)),
        *(f"{name}: {_parameter(domain)}" for name, domain in spec.space.items()),
        _size(spec),
        *spec.notes,
    ]


def _goal(spec: SearchSpec) -> str:
    names = [f"the {_WORDS[metric.direction]} {metric.name}" for metric in spec.objectives]
    goal = names[0] if len(names) == 1 else f"the Pareto front of {' and '.join(names)}"
    text = f"finds {goal} of {spec.model.class_} on the validation part"
    fixed = ", ".join(f"{key} = {value}" for key, value in spec.model.config.items())
    return text + (f", with {fixed} fixed." if fixed else ".")


def _trials(spec: SearchSpec) -> str:
    wanted = spec.search
    text = f"{wanted.trials} trials, {METHODS[wanted.method]}; the first is the model's default."
    if wanted.method == "tpe" and wanted.cheapest_of > 1:
        text += f" Of {wanted.cheapest_of} suggestions the one whose epochs are cheapest is tried."
    limit = wanted.constraints.max_model_mb
    return text + ("" if limit is None else f" Models above {limit:g} MB are left out.")


def _ends(spec: SearchSpec) -> Iterator[str]:
    wanted = spec.search
    yield f"A trial trains {wanted.max_epochs} epochs at most; one-shot models have one."
    stop = wanted.stop
    if isinstance(stop, PlateauStop):
        row = "one brings" if stop.patience == 1 else f"{stop.patience} in a row each bring"
        yield (
            f"It ends by itself after {max(stop.grace, stop.patience)} epochs or more, when {row} "
            f"less than {100 * stop.min_improvement:g} %."
        )
    yield _pruning(parse_scheduler(wanted.scheduler, wanted.scheduler_options, wanted.max_epochs))


def _pruning(rule: Rule) -> str:
    if isinstance(rule, Asha):
        last = rule.max_epochs or 1
        rungs = ", ".join(str(epoch) for epoch in range(1, last) if rule.is_rung(epoch))
        return (
            f"After epochs {rungs} it goes on only among the best 1/{rule.eta} of those that have "
            "come so far (asha)."
        )
    if isinstance(rule, Halving):
        return (
            f"After epoch {rule.grace} it goes on only among the best 1/{rule.eta} of all, after "
            f"the next among 1/{rule.eta**2}, and so on (halving)."
        )
    if isinstance(rule, Median):
        return f"From epoch {rule.grace} on it ends if it is worse than the median of the others."
    return "No trial is pruned for falling behind others."


def _parameter(domain: Domain) -> str:
    kinds = {
        "log-uniform": "every factor of ten is equally likely",
        "uniform": "all values equally likely",
    }
    text = domain.describe()
    return f"{text}; {kinds[domain.distribution]}" if domain.distribution in kinds else text


def _size(spec: SearchSpec) -> str:
    if not spec.space:
        return "Nothing is searched: one trial trains the model as it is."
    size = spec.space.size
    if size is None:
        return "Together infinitely many points."
    return f"Together {size:,} points" + (", all tried." if size <= spec.search.trials else ".")
