"""How good the best configuration is, in one sentence, and what to doubt about it."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from analysis.formatting import metric, number, percent, plural, signed
from analysis.gains import gains_info
from analysis.parameters import Parameter, parameters_info
from analysis.values import (
    Point,
    Reference,
    best_point,
    default_point,
    dig,
    gain,
    main_baseline,
    points,
)
from recsearch.final.outcome import read_final
from recsearch.run import RunView

ALIKE = 1e-4
"""Relative difference below which two values are called equal."""
FEW_TRIALS = 20
"""Fewer finished trials than this are too few to trust a search of several parameters."""


class Comparison(NamedTuple):
    """The best objective against another value; ``gain`` is positive where the best is better."""

    label: str
    value: float
    gain: float


def compare(run: RunView, best: Point | None, other: Reference | None) -> Comparison | None:
    """Compare the best with ``other``; None where one of them is absent."""
    if best is None or other is None:
        return None
    return Comparison(other.label, other.value, gain(run, best.value, other.value))


def verdict(
    run: RunView,
    best: Point | None,
    baseline: Comparison | None,
    default: Comparison | None,
    chance: Comparison | None,
) -> str:
    """One sentence that compares the best with what it must beat."""
    name = run.objective.name
    if best is None:
        return f"No trial has an epoch with a finite {name} yet: there is no result to report."
    parts = [] if baseline is None else [_against(baseline)]
    if chance is not None and chance.value > 0:
        parts.append(f"{number(best.value / chance.value, 3)} times the chance level")
    if run.trial(best.trial).origin == "default":
        parts.append("that of the default configuration, which no other trial improves on")
    elif default is not None:
        parts.append(_against(default))
    head = f"The best {name}, {metric(best.value)} (trial {best.trial}, epoch {best.epoch})"
    if not parts:
        return f"{head}, has nothing to be compared with: no baseline was measured."
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    text = f"{head}, is {listed}"
    if baseline is not None and baseline.gain < 0 and not _alike(baseline) and not _trivial(run):
        return f"{text}: this model does not pay on this data set."
    return f"{text}."


def doubts(run: RunView) -> tuple[str, ...]:
    """Reasons to doubt the best configuration, most important first."""
    best = best_point(run)
    found = [*_unfinished(run)]
    if best is not None:
        found += _noise(run)
        found += [_edge(row) for row in parameters_info(run) if row.edge]
        found += [*_few(run), *_last_epoch(run, best), *_late(run, best)]
    errors = run.counts["error"]
    if errors:
        found.append(f"{plural(errors, 'trial')} ended in an error; see the table of failures.")
    return tuple(found)


def _against(other: Comparison) -> str:
    if other.gain == 0:
        return f"equal to the {_noun(other.label)}"
    if _alike(other):
        return f"equal to the {_noun(other.label)} within {percent(ALIKE)}"
    word = "better" if other.gain > 0 else "worse"
    share = f" ({percent(abs(other.gain / other.value))})" if other.value else ""
    return f"{number(abs(other.gain), 3)}{share} {word} than the {_noun(other.label)}"


def _alike(other: Comparison) -> bool:
    return bool(other.value) and abs(other.gain / other.value) < ALIKE


def _trivial(run: RunView) -> bool:
    """Whether the model is of the kind that baselines are."""
    model = str(dig(run.identity, "search", "model", "class", default=""))
    return model.rpartition(":")[2] in ("BiasScorer", "PopScorer")


def _noun(label: str) -> str:
    return f"{label} baseline" if label in ("tuned bias", "popularity") else label


def _unfinished(run: RunView) -> list[str]:
    ended = sum(trial.searched.finished for trial in run.trials)
    if ended >= run.planned:
        return []
    return [f"The search is not finished: {ended} of {plural(run.planned, 'trial')} have ended."]


def _edge(row: Parameter) -> str:
    return (
        f"The best {row.name}, {row.selected_text}, lies at the {row.edge} edge of its range "
        f"({row.range_text}): a better value may lie beyond it."
    )


def _noise(run: RunView) -> list[str]:
    """Gains that the choice of users may explain, and whether they were looked at at all."""
    info, test = gains_info(run), read_final(run.path)
    found = [] if info is None else [
        text for row, text in zip(info.rows, info.sentences, strict=True) if not row.real
    ]  # fmt: skip
    gain_over = None if test is None else test.gain("default")
    if test is not None and gain_over is not None:
        std = test.spread("best", test.document["objective"]).std_seeds
        if std is not None and gain_over < 2 * std:
            found.append(
                f"On the test parts the gain over the default is {signed(gain_over)}, no more than "
                f"other seeds may do (standard deviation {number(std, 2)})."
            )
    if info is None and not _unfinished(run) and has_rival(run):
        found.append(
            "Whether the gain is more than the choice of users explains was not measured: "
            f"recsearch compare {shlex.quote(f'runs/{run.path.name}')}"
        )
    return found


def has_rival(run: RunView) -> bool:
    """Whether there is anything to compare the best with, user by user."""
    default, best = default_point(run), best_point(run)
    other = default is not None and best is not None and default.trial != best.trial
    return other or main_baseline(run) is not None


def _few(run: RunView) -> list[str]:
    finished = run.counts["done"] + run.counts["pruned"]
    if (
        finished >= FEW_TRIALS
        or _unfinished(run)
        or dig(run.identity, "search", "search", "method") == "grid"
    ):
        return []
    return [f"Only {plural(finished, 'trial')} finished; fewer than {FEW_TRIALS} are a weak basis."]


def _last_epoch(run: RunView, best: Point) -> list[str]:
    limit = run.trial(best.trial).target or dig(run.identity, "search", "search", "max_epochs")
    if not isinstance(limit, int) or limit < 2 or best.epoch < limit:
        return []
    return [f"The best epoch is the last one allowed ({limit}): more epochs may improve it."]


def _late(run: RunView, best: Point) -> list[str]:
    found = points(run)
    total = len(run.trials)
    if total < FEW_TRIALS or best.trial <= 0.9 * total or len(found) < 2:
        return []
    return [f"The best came late, at trial {best.trial} of {total}: more trials may improve it."]
