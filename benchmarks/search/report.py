"""Results as tables: on the terminal, and in Markdown for the documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.search import scaling
from benchmarks.search.best_so_far import best_at
from benchmarks.search.equal import totals
from benchmarks.search.targets import comparison, judge, ours_by_seed, passed, wall_ratio

WIDTH = 190
WORDS = {True: "met", False: "MISSED", None: "not measured"}
SHOWN_AT = (30, 60, 120, 300, 600, 1200, 2400)
"""Seconds at which the best so far is printed."""


class Table(NamedTuple):
    """A title, column heads and rows of text."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def show(results: Mapping[str, Any]) -> None:
    """Print everything on the terminal."""
    console = Console(width=WIDTH)
    for line in machine_lines(results):
        console.print(line)
    for table in tables(results):
        console.print(_rich(table))


def markdown(results: Mapping[str, Any]) -> str:
    """All tables for the documents."""
    blocks = list(machine_lines(results))
    for table in tables(results):
        lines = [f"**{table.title}**", "", _line(table.head), _line(["---"] * len(table.head))]
        blocks.append("\n".join([*lines, *map(_line, table.rows)]))
    return "\n\n".join(blocks) + "\n"


def machine_lines(results: Mapping[str, Any]) -> Iterator[str]:
    """What the last part was measured on, then the parts that were measured elsewhere."""
    yield (here := machine_line(results))
    for name, part in results.get("parts", {}).items():
        if part.get("machine") and (there := machine_line(part)) != here:
            yield f"{name}: {there}"


def machine_line(results: Mapping[str, Any]) -> str:
    """What it was measured on, in a sentence."""
    found = results.get("machine")
    if not found:
        return "Measured on a machine that the results do not name."
    names = ("lenskit", "ray", "torch", "numpy", "numba", "optuna")
    versions = ", ".join(
        f"{n} {found['versions'][n]}" for n in names if found.get("versions", {}).get(n)
    )
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB, {found['system']}; "
        f"Python {found['python']}, {versions}."
    )


def tables(results: Mapping[str, Any]) -> Iterator[Table]:
    """A table, or a few, for every part that is there; then the targets."""
    parts = results.get("parts", {})
    for name, part in parts.items():
        title = name + ("" if part.get("complete") else " (interrupted)")
        yield from PRINTERS.get(name, _other)(title, part, parts)
    yield _targets(judge(parts))


def _equal(title: str, part: Mapping[str, Any], _: Any) -> Iterator[Table]:
    steps, settings = part["steps"], part["settings"]
    title += f": {settings['configs']} configurations, {settings['epochs']} epochs of each"
    ratio = wall_ratio(steps) if part.get("complete") else None
    sides = {
        name: totals(steps, side) for name, side in (("recsearch", "ours"), ("LensKit", "lenskit"))
    }
    rows = [[name, *map(number, found.values())] for name, found in sides.items()]
    rows.append(["LensKit / recsearch", number(ratio), *_ratios(sides), ""])
    yield Table(title, ("", "wall s", "CPU s", "peak MB"), rows)
    head = ("trial", "size", "reg user", "reg item", "epochs", "recsearch", "LensKit",
            "difference", "from float64: recsearch", "LensKit")  # fmt: skip
    yield Table(
        "RMSE of the last epoch; largest difference over the epochs",
        head,
        [_configuration(row) for row in steps.get("configurations", [])],
    )


def _ratios(sides: Mapping[str, Mapping[str, float]]) -> list[str]:
    ours, theirs = sides["recsearch"]["cpu_s"], sides["LensKit"]["cpu_s"]
    return [number(theirs / ours if ours else None)]


def _configuration(row: Mapping[str, Any]) -> list[str]:
    reg, (ours, theirs) = row["regularization"], row["epochs"]
    return [
        str(row["trial"]),
        str(row["size"]),
        f"{reg['user']:.1e}",
        f"{reg['item']:.1e}",
        str(ours) if ours == theirs else f"{ours} / {theirs}",
        rmse(row["last_ours"], 6),
        rmse(row["last_lenskit"], 6),
        small(row["difference"]),
        small(row.get("ours_from_float64")),
        small(row.get("lenskit_from_float64")),
    ]


def _whole(title: str, part: Mapping[str, Any], _: Any) -> Iterator[Table]:
    steps = part["steps"]
    compared = comparison(steps)
    beaten = compared.get("until_beaten", {})
    head = ("", "wall s", "CPU s", "peak MB", "trials", "epochs", "first epoch s", "best RMSE",
            "gain over tuned bias", "LensKit's best beaten after s")  # fmt: skip
    bias = next((f["bias"] for f in ours_by_seed(steps).values() if f["bias"] is not None), None)
    rows = [
        _search(f"recsearch, seed {seed}", found, bias, beaten.get(seed))
        for seed, found in ours_by_seed(steps).items()
    ]
    if "lenskit" in steps:
        found = steps["lenskit"]
        rows.append(_search("lenskit tune, best epoch", found, bias, None))
        reported = found["last_epoch_of_best_trial"]
        rows.append(
            ["lenskit tune, as reported", *[""] * 6, rmse(reported), _gain(bias, reported), ""]
        )
    if compared:
        better = f"lower by {small(compared['better_by'])}"
        rows.append(["LensKit / recsearch, median", number(compared["ratio"]),
                     number(compared["cpu_ratio"]), *[""] * 4, better, "", ""])  # fmt: skip
    yield Table(f"{title}: {part['settings']['trials']} trials, own strategies", head, rows)


def _search(
    name: str, found: Mapping[str, Any], bias: float | None, beaten: float | None
) -> list[str]:
    return [
        name,
        *(number(found[key]) for key in ("wall_s", "cpu_s", "peak_mb")),
        str(found["trials"]),
        str(found["epochs"]),
        number(found["first_epoch_s"]),
        rmse(found["best"]),
        _gain(bias, found["best"]),
        number(beaten),
    ]


def _gain(bias: float | None, best: float | None) -> str:
    return "" if bias is None or best is None else f"{bias - best:.4f}"


def _peers(title: str, part: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterator[Table]:
    searches = parts.get("search", {}).get("steps", {})
    times = [
        second for second in SHOWN_AT if any(second <= f["wall_s"] for f in part["steps"].values())
    ]
    head = ("", "wall s", "CPU s", "peak MB", "trials ended", "epochs", "best RMSE",
            "recsearch there after s", *(f"best at {second} s" for second in times))  # fmt: skip
    rows = []
    for name, found in part["steps"].items():
        trials = f"{found['trials']} of {found['asked']}" + (", cut" if found["cut"] else "")
        rows.append([
            {"optuna": "Optuna: TPE, median pruning", "random": "random, early stopping"}[name],
            *(number(found[key]) for key in ("wall_s", "cpu_s", "peak_mb")),
            trials,
            str(found["epochs"]),
            rmse(found["best"]),
            number(passed(searches, found["best"])),
            *(rmse(best_at(found["best_so_far"], second)) for second in times),
        ])  # fmt: skip
    yield Table(f"{title}: LensKit's training and measuring in one process", head, rows)


def _scaling(title: str, part: Mapping[str, Any], _: Any) -> Iterator[Table]:
    head = ("ratings", "workers", "trials", "epochs", "wall s", "searching s", "epochs / core s",
            "", "efficiency", "peak MB")  # fmt: skip
    rows = [
        [
            f"{row['train_ratings']:,}",
            str(row["workers"]),
            str(row["trials"]),
            str(row["epochs"]),
            *(number(row[key]) for key in ("wall_s", "searching_s", "epochs_per_core_s")),
            row.get("scaling", ""),
            f"{100 * row['efficiency']:.0f} %" if "efficiency" in row else "",
            number(row["peak_mb"]),
        ]
        for row in scaling.rows(part["steps"])
    ]
    yield Table(f"{title}: embedding size {part['settings']['scaling_size']}", head, rows)


def _profile(title: str, part: Mapping[str, Any], _: Any) -> Iterator[Table]:
    for label, found in part["steps"].items():
        for role, shares in found["roles"].items():
            rows = [
                [row["function"], f"{100 * row['self']:.1f} %", f"{100 * row['total']:.1f} %"]
                for row in shares["functions"]
            ]
            name = f"{title}, {label}: {role}, {shares['seconds']:g} active seconds"
            yield Table(name, ("function", "self", "with callees"), rows)


def _other(title: str, part: Mapping[str, Any], _: Any) -> Iterator[Table]:
    """A part that brings its own rows, or plain figures."""
    for found in part["steps"].values():
        lists = {k: v for k, v in found.items() if k != "targets" and _is_rows(v)}
        plain = {k: v for k, v in found.items() if k != "targets" and k not in lists}
        if plain:
            rows = [[name, _text(value)] for name, value in flat(plain)]
            yield Table(title, ("figure", "value"), rows)
        for name, values in lists.items():
            head = list(dict.fromkeys(key for row in values for key in row))
            cells = [[_text(row.get(key)) for key in head] for row in values]
            yield Table(f"{title}: {name}", head, cells)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def flat(found: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested figures by dotted name."""
    for key, value in found.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "" if value is None else str(value)


def _targets(verdicts: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            found["target"],
            f"{'≥' if found.get('at_least') else '≤'} {found['limit']:g}",
            "" if found["figure"] is None else f"{found['figure']:.3g}",
            WORDS[found["met"]],
        ]
        for found in verdicts
    ]
    return Table("Targets", ("target", "limit", "figure", ""), rows)


def number(value: float | None) -> str:
    """Three digits, or the whole number where that has more; empty for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def rmse(value: float | None, digits: int = 5) -> str:
    """A metric with as many digits as are compared; empty for None."""
    return "" if value is None else f"{value:.{digits}f}"


def small(value: float | None) -> str:
    """A difference with its magnitude; empty for None."""
    return "" if value is None else f"{value:.1e}"


def _rich(table: Table) -> RichTable:
    found = RichTable(title=table.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column, name in enumerate(table.head):
        found.add_column(name, justify="right" if column else "left")
    for row in table.rows:
        style = "bold red" if WORDS[False] in row else None
        found.add_row(*row, style=style)
    return found


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


PRINTERS: Mapping[str, Callable[[str, Mapping[str, Any], Mapping[str, Any]], Iterator[Table]]] = {
    "equal": _equal,
    "search": _whole,
    "peers": _peers,
    "scaling": _scaling,
    "profile": _profile,
}
