"""Results as tables: on the terminal, and in Markdown for the documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.als.targets import judge, limits, ratio

WIDTH = 150
WORDS = {True: "met", False: "MISSED"}

Results = Mapping[str, Any]


class Table(NamedTuple):
    """A title, column heads and rows of text."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def show(results: Results) -> None:
    """Print everything on the terminal."""
    console = Console(width=WIDTH)
    for line, table in _blocks(results):
        if line:
            console.print(line)
        console.print(_rich(table))


def markdown(results: Results) -> str:
    """All tables for the documents."""
    blocks = []
    for line, table in _blocks(results):
        lines = [f"**{table.title}**", "", _line(table.head), _line(["---"] * len(table.head))]
        blocks += [*([line] if line else []), "\n".join([*lines, *map(_line, table.rows)])]
    return "\n\n".join(blocks) + "\n"


def machine_line(part: Mapping[str, Any]) -> str:
    """What a part was measured on, in a sentence."""
    found = part["machine"]
    versions = ", ".join(f"{name} {v}" for name, v in found["versions"].items() if v)
    gpu = f"{found['gpu']}, " if found.get("gpu") else ""
    return (
        f"{gpu}{found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB, "
        f"{found['system']}; Python {found['python']}, {versions}."
    )


def _blocks(results: Results) -> Iterator[tuple[str | None, Table]]:
    """Tables, each with the line before it; targets last of what they judge."""
    cpu, gpu = results.get("cpu"), results.get("cuda")
    if cpu:
        yield machine_line(cpu), _epochs(cpu)
        yield None, _ways(cpu["rows"])
        yield None, _targets(judge(cpu["rows"]))
    if gpu:
        yield machine_line(gpu), _gpu(gpu["rows"])


def _epochs(part: Mapping[str, Any]) -> Table:
    rows, data = part["rows"], part["data"]
    rate = max(row["sgemm_gflops"] for row in rows)
    cells = [
        [
            row["model"],
            str(row["size"]),
            number(row["lenskit_s"]),
            number(row["ours_s"]),
            f"{ratio(row):.1f}",
            f"{row['gflop']:.1f}",
            number(limit),
            f"{row['ours_s'] / limit:.2f}",
            f"{row['difference']:.1e} {row['metric']}",
        ]
        for row, limit in zip(rows, limits(rows), strict=True)
    ]
    head = ("", "size", "LensKit s", "recsearch s", "LensKit / recsearch", "GFLOP", "limit s",
            "recsearch / limit", "largest difference to LensKit")  # fmt: skip
    title = (
        f"CPU seconds per epoch on one thread: {data['name']}, {data['train_ratings']:,} ratings; "
        f"one core does {rate:.0f} GFLOP/s in sgemm"
    )
    return Table(title, head, cells)


def _ways(rows: Sequence[Mapping[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row["ways"]))
    cells = [
        [row["model"], str(row["size"]), *(number(row["ways"].get(name)) for name in names)]
        for row in rows
    ]
    title = "CPU seconds per epoch on one thread, other ways; empty where not measured"
    return Table(title, ("", "size", *names), cells)


def _targets(verdicts: Sequence[Mapping[str, Any]]) -> Table:
    cells = [
        [
            found["target"],
            f"{'≥' if found['at_least'] else '≤'} {found['limit']:g}",
            f"{found['figure']:.3g}",
            WORDS[found["met"]],
        ]
        for found in verdicts
    ]
    return Table("Targets", ("target", "limit", "figure", ""), cells)


def _gpu(rows: Sequence[Mapping[str, Any]]) -> Table:
    cells = [
        [
            row["data"],
            f"{row['train_ratings']:,}",
            row["model"],
            str(row["size"]),
            number(row["lenskit_s"]),
            number(row["ours_s"]),
            number(row["lenskit_s"] / row["ours_s"] if row["lenskit_s"] else None),
            number(row["flexmf_s"]),
            number(row["peak_gpu_bytes"] / 2**30 if row["peak_gpu_bytes"] else None),
            "" if row["difference"] is None else f"{row['difference']:.1e}",
        ]
        for row in rows
    ]
    head = ("data", "ratings", "", "size", "LensKit s", "recsearch s", "LensKit / recsearch",
            "FlexMF s", "GPU GiB", "RMSE difference")  # fmt: skip
    title = (
        "Wall seconds per epoch: recsearch and FlexMF on the GPU, LensKit on all cores; empty "
        "where it would take too long"
    )
    return Table(title, head, cells)


def number(value: float | None) -> str:
    """Three digits, or the whole number where that has more; empty for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _rich(table: Table) -> RichTable:
    found = RichTable(title=table.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column, name in enumerate(table.head):
        found.add_column(name, justify="right" if column else "left")
    for row in table.rows:
        found.add_row(*row, style="bold red" if WORDS[False] in row else None)
    return found


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
