"""What a search takes beside training: ``python -m benchmarks.search.orchestration [--quick]``.

A model that costs nothing is searched by the real command line, and the journal and the process are
measured: overhead, time to the first epoch, idle workers, the driver's memory, suggestion time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil

from benchmarks.available import available
from benchmarks.search.costless import PARAMETERS
from benchmarks.search.order import Order, busy, generated, idle_share
from benchmarks.store import facts
from recsearch.files import write_atomic
from recsearch.journal import read_events
from recsearch.space import Float, Space
from recsearch.suggest import Observation
from recsearch.suggest.tpe import TpeSuggester

RESULTS = Path(__file__).parent.parent / "results"
ROOT = Path(__file__).resolve().parent.parent.parent
RATINGS = "\n".join(
    ["user,item,rating"] + [f"{u},{i},3" for u in range(1, 31) for i in range(u % 3, u % 3 + 8)]
)
TARGETS: dict[str, tuple[float, str]] = {
    "overhead_per_trial_s": (0.15, "s"),
    "overhead_per_epoch_s": (0.02, "s"),
    "first_epoch_s": (10.0, "s"),
    "idle_share": (0.10, "of the workers' time"),
    "memory_growth": (0.10, "of the driver's memory at a fifth of the trials"),
    "suggestion_s": (0.1, "s"),
}
"""At most this much, by what is judged."""

Events = Sequence[Mapping[str, Any]]


class Command:
    """One search by the real command line, in a folder of its own.

    Args:
        folder: an empty folder.
        arguments: of ``recsearch search``, the search file or name first.
    """

    def __init__(self, folder: Path, *arguments: str):
        self.root = folder / "run"
        self._folder = folder
        self._arguments = [
            sys.executable, "-m", "recsearch", "search", *arguments, "--no-report", "-q",
            "--run", str(self.root), "--store", str(folder / "store"),
        ]  # fmt: skip

    def start(self) -> subprocess.Popen[bytes]:
        """Start it."""
        self.began = time.time()
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            self._arguments, cwd=self._folder, env=environment, stdout=subprocess.DEVNULL
        )

    def run(self) -> Events:
        """Run it to its end; its journal.

        Raises:
            RuntimeError: it failed.
        """
        code = self.start().wait()
        if code:
            raise RuntimeError(f"{' '.join(self._arguments)}: exit code {code}")
        return self.events

    @property
    def events(self) -> Events:
        """What has been journalled so far."""
        return read_events(self.root / "journal.ndjson")


def costless(folder: Path, trials: int, epochs: int, workers: int, method: str) -> Command:
    """A search over the model that costs nothing."""
    (folder / "ratings.csv").write_text(RATINGS + "\n", encoding="utf-8")
    space = [f'{name} = {{ type = "float", min = 0.0, max = 1.0 }}' for name in PARAMETERS[:5]]
    lines = [
        'title = "Costless"',
        '[model]\nclass = "benchmarks.search.costless:Costless"',
        f'[search]\nmetric = "RMSE"\nmethod = "{method}"\ntrials = {trials}',
        f'max_epochs = {epochs}\nscheduler = "none"\nstop = {{ rule = "none" }}\n[space]',
    ]
    path = folder / "costless.toml"
    path.write_text("\n".join([*lines, *space]) + "\n", encoding="utf-8")
    return Command(folder, str(path), "csv:ratings.csv", "--workers", str(workers))


def seconds(event: Mapping[str, Any]) -> float:
    """When an event was journalled, since 1970."""
    return datetime.fromisoformat(event["time"]).timestamp()


def overhead(events: Events) -> tuple[list[float], list[float]]:
    """Seconds of a single worker beside train, evaluate and save: by trial, and by epoch.

    A trial's is from the end of the one before to its own first epoch; an epoch's from the epoch
    before. The first trial of a command has none: it waits for Ray.
    """
    trials, epochs = [], []
    before: Mapping[str, Any] | None = None
    for event in events:
        if event["event"] != "epoch":
            continue
        if before is not None:
            gap = max(0.0, seconds(event) - seconds(before) - busy(event))
            (epochs if event["trial"] == before["trial"] else trials).append(gap)
        before = event
    return trials, epochs


def idle(events: Events, workers: int) -> float:
    """Part of the workers' time, first start to last epoch, beside train, evaluate and save."""
    epochs = [event for event in events if event["event"] == "epoch"]
    began = min(seconds(event) - busy(event) for event in epochs)
    span = max(map(seconds, epochs)) - began
    return max(0.0, 1 - sum(map(busy, epochs)) / (workers * span))


def growth(samples: Sequence[tuple[int, float]], trials: int) -> float:
    """By what part the memory of the last tenth of the trials exceeds that at a fifth of them.

    Args:
        samples: trials suggested and bytes held, oldest first.
        trials: of the whole search.
    """
    early = next(held for count, held in samples if count >= trials / 5)
    return max(held for count, held in samples if count >= 0.9 * trials) / early - 1


def suggestion_seconds(parameters: int, trials: int, repeats: int = 5) -> float:
    """Median time of one suggestion of TPE after ``trials`` observed trials."""
    space = Space({f"x{n}": Float(0.0, 1.0) for n in range(parameters)})
    rng = np.random.default_rng(1)
    seen = [Observation(n, space.sample(rng), float(rng.random())) for n in range(1, trials + 1)]
    suggester = TpeSuggester(space, 1, "min")
    suggester.suggest(trials, seen[:20], [])
    times = []
    for repeat in range(repeats):
        began = time.perf_counter()
        suggester.suggest(trials + repeat + 1, seen, [])
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def first_epoch_seconds(folder: Path, data: str) -> float:
    """From the start of the command to its first journalled epoch."""
    command = Command(folder, "als", data, "--trials", "2", "--max-epochs", "1")
    events = command.run()
    return min(seconds(event) for event in events if event["event"] == "epoch") - command.began


def watched(command: Command, every_s: float = 0.5) -> list[tuple[int, float]]:
    """Run a search; trials suggested and bytes of the driver's memory (unique set), in time.

    Raises:
        RuntimeError: it failed.
    """
    process = command.start()
    driver = psutil.Process(process.pid)
    path = command.root / "journal.ndjson"
    samples, count, position = [], 0, 0
    while process.poll() is None:
        if path.exists():
            with path.open("rb") as journal:
                journal.seek(position)
                read = journal.read()
            count += read.count(b'"event":"suggested"')
            position += len(read)
        try:
            samples.append((count, float(driver.memory_full_info().uss)))
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            break
        time.sleep(every_s)
    if process.wait():
        raise RuntimeError(f"the watched search failed with exit code {process.returncode}")
    return samples


def _simulated() -> dict[str, dict[str, float]]:
    """Mean idle share by order of starting and workers, over generated trials."""
    cases = [generated(seed) for seed in range(100)]
    orders: tuple[Order, ...] = ("number", "tail", "cost")
    return {
        f"{workers} workers, lag {lag}": {
            order: statistics.fmean(
                idle_share(times, costs, workers=workers, lag=lag, order=order)
                for times, costs in cases
            )
            for order in orders
        }
        for workers, lag in ((2, 8), (4, 8), (4, 16), (8, 8), (8, 32))
    }


def _folders(parent: Path) -> Iterator[Path]:
    while True:
        yield Path(tempfile.mkdtemp(dir=parent))


def run(quick: bool, data_name: str = "demo") -> dict[str, Any]:
    """Measure everything; figures and whether each target was met.

    Args:
        quick: few trials.
        data_name: of the data set whose search is watched.
    """
    trials, long = (20, 100) if quick else (60, 1000)
    data = list(dict.fromkeys(["demo", data_name]))
    with tempfile.TemporaryDirectory(prefix="orchestration-") as name:
        folders = _folders(Path(name))
        machine = facts.machine(Path(name))
        first = {d: [first_epoch_seconds(next(folders), d) for _ in range(3)] for d in data}
        per_trial, per_epoch = overhead(costless(next(folders), trials, 6, 1, "random").run())
        search = Command(
            next(folders), "als", data[-1], "--trials", "20" if quick else "100", "--workers", "2"
        )
        idled = idle(search.run(), 2)
        samples = watched(costless(next(folders), long, 3, 2, "tpe"))
    suggestions = {str(n): suggestion_seconds(n, 1000) for n in (5, 10)}
    measured = {
        "overhead_per_trial_s": statistics.median(per_trial),
        "overhead_per_epoch_s": statistics.median(per_epoch),
        "first_epoch_s": max(statistics.median(times) for times in first.values()),
        "idle_share": idled,
        "memory_growth": growth(samples, long),
        "suggestion_s": max(suggestions.values()),
    }
    steps = range(long // 10, long + 1, long // 10)
    return {
        "quick": quick,
        "machine": machine,
        "measured": measured,
        "met": {name: value <= TARGETS[name][0] for name, value in measured.items()},
        "first_epoch_s": first,
        "idle_data": data[-1],
        "suggestion_s_at_1000": suggestions,
        "driver_mb": {n: next(held / 1e6 for c, held in samples if c >= n) for n in steps},
        "idle_simulated": _simulated(),
    }


@click.command()
@click.option("--quick", is_flag=True, help="Few trials: too few to judge by.")
def main(quick: bool) -> None:
    found = run(quick, available("ml1m")[0])
    write_atomic(RESULTS / "orchestration.json", found)
    for name, value in found["measured"].items():
        most, unit = TARGETS[name]
        verdict = "met" if found["met"][name] else "MISSED"
        print(f"{name:<24}{value:>9.3f}   at most {most:g} {unit}: {verdict}")
    print("driver, MB by trial:     ", {n: round(mb) for n, mb in found["driver_mb"].items()})
    for case, shares in found["idle_simulated"].items():
        print(f"idle, {case}: ", {order: f"{share:.1%}" for order, share in shares.items()})


if __name__ == "__main__":
    main()
