"""Searches beside published results, as tables and JSON.

``python -m benchmarks.results_table RUN [RUN …] [--update docs/results.md] [--json OUT]``
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from benchmarks import published
from benchmarks.als.__main__ import machine
from benchmarks.als.report import machine_line
from benchmarks.measured import Biases, Measured, measured
from benchmarks.published import Value, gain, target
from recsearch.errors import RecsearchError, UsageError
from recsearch.files import write_atomic
from recsearch.run import RunView

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
NONE = "-"
DIGITS = 4
"""To which gains and values are compared: gains are published with as many."""

HEAD = ("algorithm", "metric", "best", "gain over bias", "over popularity", "configuration",
        "best epoch / epochs", "done / pruned / error", "wall", "CPU", "Codex", "published",
        "Codex's gain over bias", "Codex's configuration", "Codex's epochs",
        "at least the Codex's?")  # fmt: skip

Row = tuple[Measured, Value | None]


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--update", type=click.Path(path_type=Path), help="Document with both markers.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write figures, too.")
def main(runs: tuple[str, ...], update: Path | None, out: Path | None) -> None:
    """Print a Markdown table for every data set of the run folders RUN."""
    try:
        rows, problems = collect(runs)
        text = markdown(rows, machine())
        for problem in problems:
            click.echo(problem, err=True)
        if update is not None:
            replace_between_markers(update, text)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(out, figures(rows, machine()))
    except RecsearchError as err:
        click.echo(str(err), err=True)
        raise SystemExit(err.exit_code) from err
    click.echo(text)


def collect(runs: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Runs beside what is published for each, in the order of the tables; and what is missing.

    Raises:
        RecsearchError: a folder holds no run, or an unreadable one.
    """
    biases, values = Biases(), published.load()
    found = [measured(RunView.open(run), biases) for run in runs]
    found.sort(key=lambda m: (m.group, m.metric.kind == "ranking", m.algorithm, m.run))
    rows = [(m, target(values, m.data, m.algorithm, m.metric, m.identity["split"])) for m in found]
    return rows, biases.problems


def markdown(rows: Sequence[Row], here: Mapping[str, Any]) -> str:
    """Everything that stands between the markers."""
    blocks = [_machine(rows, here)]
    for _, group in groupby(rows, key=lambda row: row[0].group):
        blocks.extend(_table(list(group)))
    return "\n\n".join(blocks)


def replace_between_markers(path: Path, text: str) -> None:
    """Put ``text`` between the markers of a document and leave all else as it is.

    Raises:
        UsageError: the document is absent, or has not each marker once, in order.
    """
    try:
        old = path.read_text(encoding="utf-8")
    except OSError as err:
        raise UsageError(f"{path}: cannot read: {err.strerror}.") from err
    if old.count(BEGIN) != 1 or old.count(END) != 1 or old.index(BEGIN) > old.index(END):
        raise UsageError(
            f"{path}: tables go between the lines {BEGIN} and {END}, each there once and in this "
            "order; nothing was changed.",
            hint="Add both lines where the tables shall stand, then type the same command.",
        )
    before, after = old[: old.index(BEGIN)], old[old.index(END) :]
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{after}", encoding="utf-8")


def figures(rows: Sequence[Row], here: Mapping[str, Any]) -> dict[str, Any]:
    """The same as numbers, with the machine."""
    return {
        "benchmark": "results",
        "machine": dict(here),
        "searched_on_this_machine": all(m.here for m, _ in rows),
        "rows": [_figures(m, value) for m, value in rows],
    }


def ahead(m: Measured, value: Value | None) -> float | None:
    """By how much ours is better: in value on the same ratings, else in gain over the bias.

    None where nothing, or no gain, is known to compare with.
    """
    if value is None or m.value is None:
        return None
    if value.measured_on(m.identity["split"]):
        return gain(m.metric, m.value, value.value)
    ours, theirs = gain(m.metric, m.value, m.bias), value.gain(m.metric)
    if ours is None or theirs is None:
        return None
    return round(ours, DIGITS) - round(theirs, DIGITS)


def verdict(difference: float | None) -> bool | None:
    """Whether ours is at least as good, to the digits that are compared."""
    return None if difference is None else round(difference, DIGITS) >= 0


def _figures(m: Measured, value: Value | None) -> dict[str, Any]:
    ours = gain(m.metric, m.value, m.bias)
    theirs = None if value is None else value.gain(m.metric)
    split = m.identity["split"]
    return {
        "run": m.run,
        "data": m.data,
        "dataset_id": m.identity["dataset"]["dataset_id"],
        "split_id": split["split_id"],
        "folds": m.folds,
        "seed": m.identity["seed"],
        "versions": m.identity["versions"],
        "algorithm": m.algorithm,
        "metric": m.metric.name,
        "value": m.value,
        "bias": m.bias,
        "popular": m.popular,
        "gain_over_bias": ours,
        "gain_over_popularity": gain(m.metric, m.value, m.popular),
        "params": dict(m.params),
        "best_epoch": m.epoch,
        "epochs": m.epochs,
        "cached_epochs": m.cached_epochs,
        "trials": dict(m.states),
        "wall_s": round(m.wall_s, 3),
        "cpu_s": round(m.cpu_s, 3),
        "ahead": ahead(m, value),
        "published": None if value is None else {
            "same_ratings": value.measured_on(split),
            "value": value.value, "split": value.split, "date": value.date,
            "method": value.method, "config": value.config, "epochs": value.epochs,
            "also": dict(value.also), "gain_over_bias": theirs,
        },
        "at_least_published": verdict(ahead(m, value)),
    }  # fmt: skip


def _machine(rows: Sequence[Row], here: Mapping[str, Any]) -> str:
    where = "Measured on" if all(m.here for m, _ in rows) else "Searched elsewhere; tables made on"
    return f"{where} {machine_line({'machine': here})}"


def _table(rows: Sequence[Row]) -> Iterator[str]:
    first = rows[0][0]
    data, split = first.identity["dataset"], first.identity["split"]
    yield f"### {data['title']}"
    parts = f"part {split['part']}" if first.folds == 1 else f"mean over {first.folds} parts"
    yield (
        f"`{data['name']}`: {data['users']:,} users, {data['items']:,} items, "
        f"{data['ratings']:,} ratings; {split['eval_users']:,} users and "
        f"{split['heldout_ratings']:,} ratings to measure on ({split['method']}, "
        f"{split['folds']} parts, seed {split['seed']}, rng {split.get('rng', 'separate')}, "
        f"{parts}). {_references(rows)}"
    )
    yield "\n".join([_line(HEAD), _line(["---"] * len(HEAD)), *(_line(_cells(*r)) for r in rows)])
    verdicts = [_figures(*row)["at_least_published"] for row in rows]
    known = [v for v in verdicts if v is not None]
    yield f"At least the Codex's: {sum(known)} of the {len(known)} that can be compared."


def _references(rows: Sequence[Row]) -> str:
    found = {
        f"{name} {m.metric.name} {value:.5f}": None
        for name in ("tuned bias", "popularity")
        for m, _ in rows
        if (value := m.bias if name == "tuned bias" else m.popular) is not None
    }
    return f"To beat: {', '.join(found)}." if found else ""


def _cells(m: Measured, value: Value | None) -> list[str]:
    ours = gain(m.metric, m.value, m.bias)
    return [
        _label(m),
        m.metric.name,
        "no epoch" if m.value is None else f"{m.value:.5f}",
        _gain(ours),
        _gain(gain(m.metric, m.value, m.popular)),
        configuration(m.params),
        f"{NONE if m.epoch is None else m.epoch} / {m.epochs}",
        _states(m.states),
        duration(m.wall_s),
        duration(m.cpu_s),
        *_published(value, m),
    ]


def _label(m: Measured) -> str:
    """The algorithm, and what the name of its run says beside it and the split of the table."""
    usual = f"{m.algorithm}-{m.data}"
    if not m.run.startswith(usual):
        return f"{m.algorithm} ({m.run})"
    words = [word for word in m.run.removeprefix(usual).split("-") if word]
    rest = "-".join(word for word in words if not word.startswith("rng"))
    return f"{m.algorithm} ({rest})" if rest else m.algorithm


def _published(value: Value | None, m: Measured) -> list[str]:
    if value is None:
        return [NONE, NONE, NONE, NONE, NONE, "not published"]
    difference = ahead(m, value)
    better = verdict(difference)
    if better is None:
        word = "no published gain" if m.value is not None else NONE
    else:
        word = "yes" if better else "**no**"
        what = "" if value.measured_on(m.identity["split"]) else "gain "
        word += f" ({what}{_gain(difference)})"
    how = ", ".join(part for part in (value.date, value.method, f"split {value.split}") if part)
    return [
        f"{value.value:.5f}",
        how,
        _gain(value.gain(m.metric)),
        value.config or NONE,
        value.epochs or NONE,
        word,
    ]


def _states(states: Mapping[str, int]) -> str:
    ended = ("done", "pruned", "error")
    text = " / ".join(str(states.get(name, 0)) for name in ended)
    open_ = sum(count for name, count in states.items() if name not in ended)
    return f"{text}, {open_} open" if open_ else text


def configuration(params: Mapping[str, Any]) -> str:
    """Searched parameters in short: ``embedding_size 50; damping.user 5, .item 0.1``."""
    text, before = "", None
    for name, value in params.items():
        group, _, last = name.rpartition(".")
        shown = f"{value:.3g}" if isinstance(value, float) else str(value)
        if group and group == before:
            text += f", .{last} {shown}"
        else:
            text += f"{'; ' if text else ''}{name} {shown}"
        before = group
    return text or NONE


def duration(seconds: float) -> str:
    """``9.5 s``, ``4 min 05 s`` or ``2 h 03 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if round(seconds) < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


def _gain(value: float | None) -> str:
    # Zero has no sign: what is rounded away was no loss either.
    return NONE if value is None else f"{round(value, DIGITS) + 0.0:+.{DIGITS}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    main()
