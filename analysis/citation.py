"""What to cite for a result: the run itself, and what it was made with, as BibTeX."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from analysis.formatting import metric, moment
from analysis.values import best_point, dig
from recsearch.identity import short
from recsearch.run import RunView

_REFERENCES = Path(__file__).parent / "references.bib"
_SPECIAL = re.compile(r"([&%$#_{}~^\\])")


def citation(run: RunView) -> str:
    """BibTeX entries: this result with all that identifies it, then LensKit, Ray Tune, the data."""
    wanted = ["liaw2018tune"]
    if str(dig(run.identity, "search", "model", "class", default="")).startswith("lenskit"):
        wanted.insert(0, "ekstrand2020lenskit")
    if "MovieLens" in str(dig(run.identity, "dataset", "title", default="")):
        wanted.append("harper2015movielens")
    known = _references()
    return "\n\n".join([_own(run), *(known[key] for key in wanted)])


def bibtex_text(text: Any) -> str:
    r"""Escape what BibTeX and LaTeX would take for markup.

    >>> bibtex_text("50 % of A_1 {x}")
    '50 \\% of A\\_1 \\{x\\}'
    """
    escaped = _SPECIAL.sub(
        lambda m: {
            "\\": r"\textbackslash{}",
            "~": r"\textasciitilde{}",
            "^": r"\textasciicircum{}",
        }.get(m[1], f"\\{m[1]}"),
        str(text),
    )
    return " ".join(escaped.split())


def _references() -> dict[str, str]:
    """The entries of ``references.bib`` by key."""
    entries = _REFERENCES.read_text(encoding="utf-8").strip().split("\n\n")
    return {entry[entry.index("{") + 1 : entry.index(",")]: entry for entry in entries}


def _own(run: RunView) -> str:
    identity = run.identity
    made = moment(identity.get("created"))
    title = f"{dig(identity, 'search', 'title') or run.name} on {dig(identity, 'dataset', 'title')}"
    versions = identity.get("versions") or {}
    used = ", ".join(
        f"{name} {versions[name]}" for name in ("recsearch", "lenskit") if name in versions
    )
    ids = ", ".join(
        f"{name} {short(str(found))}"
        for name, found in (
            ("data set", dig(identity, "dataset", "dataset_id")),
            ("split", dig(identity, "split", "split_id")),
            ("run", identity.get("run_id")),
        )
        if found
    )
    best = best_point(run)
    result = f"Best {run.objective.name} {metric(best.value)}. " if best else ""
    note = f"{result}{used}; {ids}; seed {identity.get('seed')}"
    key = re.sub(r"[^A-Za-z0-9-]", "", run.path.name) or "run"
    return (
        f"@misc{{{key},\n"
        f"  title = {{{bibtex_text(title)}: hyperparameter search}},\n"
        + (f"  year  = {{{made.year}}},\n" if made else "")
        + f"  note  = {{{bibtex_text(note)}}}\n}}"
    )
