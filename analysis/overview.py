"""The head of a page: what was searched, how good the best is, and what to doubt about it."""

from __future__ import annotations

from typing import Any, NamedTuple

from analysis.folds import split_words
from analysis.formatting import (
    ABSENT,
    count,
    day,
    duration,
    metric,
    number,
    plural,
    signed,
)
from analysis.values import (
    Point,
    Reference,
    active_seconds,
    all_rows,
    best_point,
    chance_level,
    cpu_seconds,
    default_point,
    dig,
    main_baseline,
    sessions,
)
from analysis.verdict import Comparison, compare, doubts, verdict
from recsearch.run import RunView


class Overview(NamedTuple):
    """The head.

    Attributes:
        best: the best (trial, epoch); None before the first finite objective.
        baseline, default, chance: comparisons; None where they were not measured.
        states: trials by state, empty states left out.
        seconds: time that commands were at work.
        notes: what must be known about the data set, and what the run noted.
        verdict: one sentence on how good the best is.
        doubts: sentences on what limits it.
    """

    run: str
    title: str
    model: str
    objective: str
    direction: str
    dataset: str
    dataset_size: str
    split: str
    best: Point | None
    baseline: Comparison | None
    default: Comparison | None
    chance: Comparison | None
    states: dict[str, int]
    planned: int
    epochs: int
    cached_epochs: int
    cached_trials: int
    period: str
    commands: int
    seconds: float
    notes: tuple[str, ...]
    verdict: str
    doubts: tuple[str, ...]


def overview_info(run: RunView) -> Overview:
    """Collect the head of the page."""
    identity = run.identity
    best = best_point(run)
    counts = run.counts
    spans = sessions(run)
    default = default_point(run)
    default_ref = default and Reference("default", "default configuration", default.value)
    baseline = compare(run, best, main_baseline(run))
    by_default = compare(run, best, default_ref)
    chance = compare(run, best, chance_level(run))
    states = ("done", "pruned", "error", "interrupted", "training", "queued")
    return Overview(
        run=run.path.name,
        title=str(dig(identity, "search", "title") or run.name),
        model=str(dig(identity, "search", "model", "class", default="unknown model")),
        objective=run.objective.name,
        direction="minimised" if run.objective.direction == "min" else "maximised",
        dataset=str(dig(identity, "dataset", "title", default="unknown data set")),
        dataset_size=_dataset_size(identity),
        split=_split(identity),
        best=best,
        baseline=baseline,
        default=by_default,
        chance=chance,
        states={state: counts[state] for state in states if counts.get(state)},
        planned=run.planned,
        epochs=counts["epochs"],
        cached_epochs=sum(row.cached for row in all_rows(run)),
        cached_trials=counts.get("cached", 0),
        period=_period(run),
        commands=len(spans),
        seconds=active_seconds(spans),
        notes=(*dataset_notes(identity), *run_notes(run)),
        verdict=verdict(run, best, baseline, by_default, chance),
        doubts=doubts(run),
    )


def dataset_notes(identity: dict[str, Any]) -> tuple[str, ...]:
    """Everything that a reader must know about where the ratings came from."""
    dataset = identity.get("dataset") or {}
    notes = [str(note) for note in dataset.get("notes") or ()]
    if dataset.get("generated") and not any("generated" in note.lower() for note in notes):
        notes.insert(0, "Generated ratings: the numbers say nothing about a real data set.")
    if dataset.get("official") is False and not any("official" in n.lower() for n in notes):
        notes.insert(0, "Not the official archive: its digest differs from the published one.")
    return tuple(notes)


def run_notes(run: RunView) -> tuple[str, ...]:
    """What the run noted about itself, each once; what it noted about single trials is left out."""
    notes = dict.fromkeys(run.record.notes)
    return tuple(note for note in notes if not note.startswith("trial "))


def _period(run: RunView) -> str:
    first = run.identity.get("created") or next((s.get("time") for s in run.sessions), None)
    last = max((row.time for row in all_rows(run)), default=None)
    if first is None or last is None:
        return "not begun" if last is None else day(last)
    return f"{day(first)} to {day(last)}"


def _dataset_size(identity: dict[str, Any]) -> str:
    nouns = (("users", "user"), ("items", "item"), ("ratings", "rating"))
    found = [(dig(identity, "dataset", key), noun) for key, noun in nouns]
    return ", ".join(plural(value, noun) for value, noun in found if isinstance(value, int))


def _split(identity: dict[str, Any]) -> str:
    split = identity.get("split") or {}
    text = str(split.get("method", "split"))
    if split.get("pick") == "last":
        text += ", last in time"
    if split.get("isolate"):
        text += ", parts isolated"
    text += split_words(identity)
    sizes = [(split.get("eval_users"), "validation user"), (split.get("heldout_ratings"),
             "held-out rating"), (split.get("train_ratings"), "training rating")]  # fmt: skip
    words = [plural(value, noun) for value, noun in sizes if isinstance(value, int)]
    return "; ".join([text, ", ".join(words)]) if words else text


def facts(run: RunView, info: Overview) -> list[tuple[str, str, str]]:
    """The head's key figures: label, value, remark."""
    rows = []
    if info.best is not None:
        where = f"trial {info.best.trial}, epoch {info.best.epoch}"
        rows.append((f"best {info.objective}", metric(info.best.value), where))
    for found in (info.baseline, info.default):
        if found is not None:
            label = f"gain over {found.label.removesuffix(' configuration')}"
            rows.append((label, signed(found.gain), f"which has {metric(found.value)}"))
    if info.chance is not None and info.best is not None:
        chance = info.chance.value
        times = f"best is {number(info.best.value / chance, 3)} times" if chance else ""
        rows.append(("chance level", metric(chance), times))
    states = ", ".join(
        plural(many, state) if state == "error" else f"{many} {state}"
        for state, many in info.states.items()
    )
    rows.append(("trials", f"{count(sum(info.states.values()))} of {count(info.planned)}", states))
    cached = f"{count(info.cached_epochs)} more from the store"
    trained = count(info.epochs - info.cached_epochs)
    rows.append(("epochs trained", trained, cached if info.cached_epochs else ""))
    pauses = plural(info.commands, "command")
    rows.append(("time at work", duration(info.seconds) if info.commands else ABSENT, pauses))
    rows.append(("CPU time of trials", duration(cpu_seconds(run)), "one thread each"))
    return rows
