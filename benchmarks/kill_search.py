"""Kill a search at random moments, again and again, and check that nothing is lost.

Every round starts the same command and sends SIGKILL to the driver or to a worker process after a
random time, also before the first epoch. The last round runs to the end. Printed at the end: what
was promised, and whether it held.

    python -m benchmarks.kill_search --kills 20 --data ml1m --trials 25
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
import psutil

from recsearch.journal import read_events
from recsearch.store import Store

RESULTS = Path(__file__).parent / "results"


class Search:
    """One search in a folder of its own."""

    def __init__(self, folder: Path, data: str, trials: int):
        self.root = folder / "run"
        self.store = folder / "store"
        self.command = [
            sys.executable, "-m", "recsearch", "search", "als", data, "--trials", str(trials),
            "--run", str(self.root), "--store", str(self.store), "--no-report", "-q",
        ]  # fmt: skip

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command, output discarded."""
        return subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def events(self, kind: str) -> list[dict[str, Any]]:
        """All journalled events of a kind; a torn last line is none."""
        return [e for e in read_events(self.root / "journal.ndjson") if e["event"] == kind]

    def trained(self) -> Counter[tuple[int, int]]:
        """How often each (trial, epoch) was reported by a worker, from the trials' own logs."""
        found: Counter[tuple[int, int]] = Counter()
        for log in self.root.glob("trials/*/out.log"):
            for line in log.read_text(encoding="utf-8").splitlines():
                if " epoch " in line and "(from the store)" not in line:
                    found[int(log.parent.name), int(line.split(" epoch ")[1].split(":")[0])] += 1
        return found


def is_worker(name: str) -> bool:
    """Whether a process runs trials: Ray names it after the class, or the method at work."""
    return name.startswith(("ray::TrialWorker", "ray::ResourceTr"))


def worker_processes(driver: int) -> list[psutil.Process]:
    """Ray's trial workers below a driver."""
    try:
        children = psutil.Process(driver).children(recursive=True)
        return [child for child in children if is_worker(child.name())]
    except psutil.Error:
        return []


def kill_once(search: Search, rng: random.Random, start_up: float) -> str:
    """Start, wait a random time, kill; what was killed and when.

    Three in ten die while they start; the others some epochs later, at any moment of one.
    """
    process = search.start()
    began, before = time.monotonic(), len(search.events("epoch"))
    if rng.random() < 0.3:
        time.sleep(rng.uniform(0.2, start_up))
    else:
        wanted = before + rng.randint(1, 8)
        while len(search.events("epoch")) < wanted and process.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 1))
    after = time.monotonic() - began
    if process.poll() is not None:
        return f"ended by itself within {after:.1f} s"
    workers = worker_processes(process.pid)
    target = "the driver"
    if workers and rng.random() < 0.4:
        rng.choice(workers).send_signal(signal.SIGKILL)
        time.sleep(rng.uniform(0, 3))
        target = "a worker, then the driver"
    process.send_signal(signal.SIGKILL)
    process.wait()
    return f"{target} after {after:.1f} s"


def check(search: Search, trials: int) -> dict[str, bool]:
    """The promises, and whether each held."""
    epochs = Counter((e["trial"], e["epoch"]) for e in search.events("epoch"))
    ended = Counter(e["trial"] for k in ("done", "pruned", "error") for e in search.events(k))
    report = Store.open(search.store, create=False).verify()
    return {
        f"exactly {trials} trials suggested": [e["trial"] for e in search.events("suggested")]
        == list(range(1, trials + 1)),
        "every trial ended once": set(ended) == set(range(1, trials + 1))
        and set(ended.values()) == {1},
        "no error": not search.events("error"),
        "no (trial, epoch) twice": set(epochs.values()) == {1},
        "no journalled epoch trained again": all(
            count == 1 for pair, count in search.trained().items() if pair in epochs
        ),
        "store verify clean": not report.problems,
    }


@click.command()
@click.option("--kills", default=20, show_default=True)
@click.option("--data", default="ml1m", show_default=True)
@click.option("--trials", default=25, show_default=True)
@click.option("--start-up", default=9.0, show_default=True, help="Seconds until the first epoch.")
@click.option("--seed", default=1, show_default=True)
def main(kills: int, data: str, trials: int, start_up: float, seed: int) -> None:
    """Kill, resume, and compare with a run that was never interrupted."""
    rng = random.Random(seed)  # noqa: S311 - moments of kills, not secrets
    with tempfile.TemporaryDirectory() as name:
        search = Search(Path(name), data, trials)
        for number in range(1, kills + 1):
            what = kill_once(search, rng, start_up)
            print(f"kill {number:>2}: {what}; {len(search.events('epoch'))} epochs so far")
        subprocess.run(search.command, check=True, stdout=subprocess.DEVNULL)
        held = check(search, trials)
        straight = Search(Path(name) / "straight", data, trials)
        subprocess.run(straight.command, check=True, stdout=subprocess.DEVNULL)
        held["best as in a run never interrupted"] = best(search) == best(straight)
    for promise, kept in held.items():
        print(f"{'held' if kept else 'BROKEN':<7} {promise}")
    RESULTS.mkdir(exist_ok=True)
    document = {"kills": kills, "data": data, "trials": trials, "seed": seed, "held": held,
                "cores": os.cpu_count()}  # fmt: skip
    (RESULTS / "kill_search.json").write_text(json.dumps(document, indent=2) + "\n")
    sys.exit(0 if all(held.values()) else 1)


def best(search: Search) -> dict[str, Any]:
    """The best result without its times and the name of its run."""
    document = json.loads((search.root / "best-result.json").read_text(encoding="utf-8"))
    return {k: v for k, v in document.items() if k not in {"train_s", "eval_s", "time", "run"}}


if __name__ == "__main__":
    main()
