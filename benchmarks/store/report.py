"""Results as tables: on the terminal, and in Markdown for the documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.store.measure import Row

WIDTH = 210
HEAD = (
    "strategy",
    "synced",
    "blocking ms",
    "durable ms",
    "behind ms",
    "cpu ms",
    "bytes/ckpt",
    "allocated",
    "files",
    "recover v=0",
    "1/3",
    "2/3",
    "last",
    "last, cold",
    "wrong rows",
    "",
)

SHORT_HEAD = (
    "strategy",
    "blocking ms",
    "durable ms",
    "bytes",
    "recover v = 0, 1/3, 2/3, last, ms",
    "wrong rows",
)
VERDICT_HEAD = ("target", "limit", "figure", "", "worst at")


def show(results: dict[str, Any]) -> None:
    """Print everything."""
    console = Console(width=WIDTH)
    for name, rows in by_trace(results.get("rows", [])).items():
        console.print(_table(name, rows))
    for name, found in results["figures"].items():
        console.print(f"[bold]{name}[/]", found)
    console.print(verdict_table(results["targets"]))


def markdown(results: dict[str, Any]) -> str:
    """Tables for the documents: medians only."""
    lines = []
    for name, rows in by_trace(results.get("rows", [])).items():
        lines += ["", f"**{_title(name, rows)}**", "", _line(SHORT_HEAD)]
        lines.append(_line(["---"] * len(SHORT_HEAD)))
        lines += [_line(_short(row)) for row in rows]
    lines += ["", _line(VERDICT_HEAD), _line(["---"] * len(VERDICT_HEAD))]
    for verdict in results["targets"]:
        lines.append(_line(_verdict_cells(verdict)))
    return "\n".join(lines).strip() + "\n"


def by_trace(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows grouped by trace."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["trace"], []).append(row)
    return found


def _table(name: str, rows: list[Row]) -> Table:
    table = Table(title=_title(name, rows), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(HEAD):
        left = number in (0, len(HEAD) - 1)
        wraps = number == len(HEAD) - 1
        table.add_column(column, justify="left" if left else "right", no_wrap=not wraps)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _title(name: str, rows: Sequence[Row]) -> str:
    first = rows[0]
    return (
        f"{name}: {first['state_bytes'] / 1e6:.1f} MB, {first['rows']:,} rows, "
        f"memcpy {first['memcpy_ms']:.2f} ms; median/max"
    )


def _cells(row: Row) -> list[str]:
    if not row["versions"]:
        return [row["strategy"], *[""] * 14, row["note"]]
    warm, cold = [*row["warm_ms"].values()], [*row["cold_ms"].values()]
    return [
        row["strategy"],
        "yes" if row["synced"] else "no",
        *(_times(row[key]) for key in ("blocking_ms", "durable_ms", "behind_ms")),
        _number(row["cpu_ms"]["median"]),
        _share(row["bytes"], row),
        _share(row["allocated"], row),
        str(row["files"]),
        *(_times(found) for found in warm),
        _times(cold[-1]) if cold else "",
        _wrong(row),
        row["note"],
    ]


def _short(row: Row) -> list[str]:
    if not row["versions"]:
        return [row["strategy"], row["note"], "", "", "", ""]
    warm = ", ".join(_number(found["median"]) for found in row["warm_ms"].values())
    note = f" ({row['note']})" if row["note"] else ""
    return [
        row["strategy"] + note,
        _number(row["blocking_ms"]["median"]),
        _number(row["durable_ms"]["median"]) + ("" if row["synced"] else " (not synced)"),
        _share(row["bytes"], row),
        warm,
        _wrong(row),
    ]


def _wrong(row: Row) -> str:
    worst = max(row["wrong_rows"].values())
    if not worst:
        return "0"
    return f"{_number(100 * worst / row['rows'])} %" + (", lossy" if row["lossy"] else "")


def _share(size: int, row: Row) -> str:
    return f"{_number(100 * size / row['state_bytes'])} %"


def _times(found: dict[str, float]) -> str:
    return f"{_number(found['median'])}/{_number(found['max'])}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def verdict_table(verdicts: Sequence[dict[str, Any]]) -> Table:
    """Targets, met or missed."""
    table = Table(title="Targets", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in VERDICT_HEAD:
        table.add_column(column, justify="right" if column in ("limit", "figure") else "left")
    for verdict in verdicts:
        cells = _verdict_cells(verdict)
        style = {"met": "green", "MISSED": "bold red"}.get(cells[3], "dim")
        table.add_row(*cells, style=style)
    return table


def _verdict_cells(verdict: dict[str, Any]) -> list[str]:
    words = {True: "met", False: "MISSED", None: "not measured"}
    figure = "" if verdict["figure"] is None else f"{verdict['figure']:.3g}"
    sign = "≥" if verdict["at_least"] else "≤"
    return [
        verdict["target"],
        f"{sign} {verdict['limit']:g}",
        figure,
        words[verdict["met"]],
        verdict["where"] + _reached(verdict),
    ]


def _reached(verdict: dict[str, Any]) -> str:
    """In how many of the places a missed target is met."""
    figures = verdict["figures"].values()
    if verdict["met"] in (None, True) or len(figures) < 2:
        return ""
    sign = -1 if verdict["at_least"] else 1
    return f" (met at {sum(sign * (f - verdict['limit']) <= 0 for f in figures)} of {len(figures)})"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
