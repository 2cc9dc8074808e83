"""All of it: ``python -m benchmarks.search [--quick] [--only PART]``."""

from __future__ import annotations

import importlib.util
import inspect
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from benchmarks.available import available
from benchmarks.search import equal, peers, profiling, report, scaling, whole
from benchmarks.search.results import QUICK, Part, ResultsFile, Settings, read
from benchmarks.search.targets import judge, verdict
from benchmarks.store import facts
from recsearch.data import load_dataset, load_split

EVALUATED = (4, 16, 32, 64, 128, 256, 512)
"""Embedding sizes at which evaluation is compared with training."""
QUICK_USERS = 5_000
RESULTS = Path(__file__).parent.parent / "results"
LIBRARIES = ("lenskit", "ray", "torch", "numpy", "scipy", "numba", "hyperopt", "optuna", "py-spy")
PARTS = ("evaluation", "orchestration", "equal", "search", "peers", "scaling", "profile")
MEASURED: dict[str, tuple[Callable[[Settings, Part, Path], None], tuple[str, ...]]] = {
    "equal": (equal.measure, ("data", "configs", "chunks", "epochs", "largest")),
    "search": (whole.measure, ("data", "trials", "seeds", "largest", "lenskit_seed")),
    "peers": (peers.measure, ("data", "trials", "largest", "lenskit_seed", "peer_seconds")),
    "scaling": (
        scaling.measure,
        ("sizes", "scaling_trials", "scaling_epochs", "scaling_size"),
    ),
}
"""Parts of this package's own, and the settings that each depends on."""


@click.command()
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="Parts to measure.")
@click.option("--quick", is_flag=True, help="Small, on generated data: too small to judge by.")
@click.option("--resume", is_flag=True, help="Keep the finished steps of interrupted parts.")
@click.option("--data", help="Data set of the parts that compare.  [default: ml1m]")
@click.option("--configs", type=click.IntRange(1), help="Equal configurations.  [default: 24]")
@click.option("--chunks", type=click.IntRange(1), help="Turns of each side.  [default: 4]")
@click.option("--epochs", type=click.IntRange(1), help="Epochs of each of them.  [default: 5]")
@click.option("--largest", type=click.IntRange(4), help="Embedding size.  [default: 512]")
@click.option("--trials", type=click.IntRange(1), help="Trials of a search.  [default: 100]")
@click.option("--seeds", help="Seeds of our searches.  [default: 42,43,44]")
@click.option("--peer-seconds", type=float, help="A peer's time; 0: no limit.  [default: 600]")
@click.option("--sizes", help="Multiples of ML-1M for the scaling.  [default: 0.1,1,10]")
@click.option("--label", default="now", show_default=True, help="Name of the profile.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the profile's graph.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where files go meanwhile.")
@click.option("--results", type=click.Path(path_type=Path), help="File of the results.")
@click.option("--show", type=click.Path(exists=True, path_type=Path), help="Print results again.")
@click.option("--markdown", is_flag=True, help="With --show: tables for the documents.")
def main(
    only: tuple[str, ...],
    quick: bool,
    resume: bool,
    seeds: str | None,
    sizes: str | None,
    label: str,
    out: Path | None,
    folder: Path | None,
    results: Path | None,
    show: Path | None,
    markdown: bool,
    **amounts: Any,
) -> None:
    """Measure, print tables and targets, and merge everything into one JSON file."""
    if show is not None:
        print(report.markdown(read(show))) if markdown else report.show(read(show))
        return
    lists = {
        "seeds": tuple(int(word) for word in seeds.split(",")) if seeds else None,
        "sizes": tuple(sizes.split(",")) if sizes else None,
    }
    given = {key: value for key, value in (amounts | lists).items() if value is not None}
    settings = replace(QUICK if quick else Settings(), **given)
    settings = replace(settings, data=available(settings.data)[0])
    file = ResultsFile(results or RESULTS / ("search_quick.json" if quick else "search.json"))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    for name in only or PARTS:
        with tempfile.TemporaryDirectory(prefix="bench-search-", dir=folder) as place:
            file.describe(machine(Path(place)))
            _measure(name, settings, file, Path(place), quick, resume, label, out)
        file.judge(judge)
    report.show(file.results)
    print(f"wrote {file.path}")


def _measure(
    name: str,
    settings: Settings,
    file: ResultsFile,
    place: Path,
    quick: bool,
    resume: bool,
    label: str,
    out: Path | None,
) -> None:
    if name in MEASURED:
        measure, keys = MEASURED[name]
        part = Part(name, file, {key: asdict(settings)[key] for key in keys}, resume=resume)
        measure(settings, part, place)
    elif name == "profile":
        part = Part(name, file, {"data": settings.data}, resume=resume)
        part.keep_others(label)
        profiling.measure(settings, part, place, label, out)
    else:
        if importlib.util.find_spec(f"benchmarks.search.{name}") is None:
            print(f"{name}: left out, there is no such module")
            return
        part = Part(name, file, {"quick": quick}, resume=resume)
        part.once("run", lambda: beside(name, settings, quick=quick))
    part.finish()


def beside(name: str, settings: Settings, *, quick: bool) -> dict[str, Any]:
    """What ``run`` of another module of this package measures, given what it asks for by name."""
    module = importlib.import_module(f"benchmarks.search.{name}")
    offered: dict[str, Callable[[], Any]] = {
        "quick": lambda: quick,
        "data_name": lambda: settings.data,
        "split": lambda: load_split(load_dataset(settings.data)),
        "sizes": lambda: [size for size in EVALUATED if size <= settings.largest],
    }
    if quick:
        offered["users"] = lambda: QUICK_USERS
    asked = inspect.signature(module.run).parameters
    found: dict[str, Any] = module.run(**{key: offered[key]() for key in asked if key in offered})
    found.pop("machine", None)
    return {**found, "targets": own_targets(found, getattr(module, "TARGETS", {}))}


def own_targets(
    found: Mapping[str, Any], limits: Mapping[str, tuple[float, str]]
) -> list[dict[str, Any]]:
    """Verdicts on what another module ``measured``, by the most that it allows, and units."""
    measured = found.get("measured", {})
    return [
        asdict(verdict(f"{name}, {unit}", limit, measured.get(name), at_least=False))
        for name, (limit, unit) in limits.items()
    ]


def machine(folder: Path) -> dict[str, Any]:
    """What the figures are measured on."""
    return {**facts.machine(folder), "versions": {name: _version(name) for name in LIBRARIES}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
