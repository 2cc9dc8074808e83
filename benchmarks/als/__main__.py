"""ALS epochs beside LensKit's: ``python -m benchmarks.als [--sizes 8,64] [--device cuda]``."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks.available import available
from recsearch.data import Split, load_dataset, load_split
from recsearch.files import write_atomic
from recsearch.models.devices import DEVICES, need_device
from recsearch.threads import use_one_thread

RESULTS = Path(__file__).parent.parent / "results" / "als.json"
SIZES = {"cpu": "8,16,32,64,128,256,512", "cuda": "64,128,256,512,1024"}
DATA = {"cpu": ("ml1m",), "cuda": ("ml1m", "demo:20x")}
LIBRARIES = ("lenskit", "numpy", "scipy", "numba", "torch")


@click.command()
@click.option("--sizes", help=f"Embedding sizes.  [default: {SIZES['cpu']}; cuda: to 1024]")
@click.option(
    "--repeat",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Epochs of each side; the fastest counts. On the CPU they take turns.",
)
@click.option("--device", type=click.Choice(DEVICES), default="cpu", show_default=True)
@click.option("--data", multiple=True, help="Data sets.  [default: ml1m; cuda: and demo:20x]")
@click.option(
    "--longest",
    default=120.0,
    show_default=True,
    help="With --device cuda: seconds that an epoch of LensKit may be expected to take.",
)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=False)
@click.option("--show", type=click.Path(exists=True, path_type=Path), help="Print results again.")
@click.option("--markdown", is_flag=True, help="With --show: tables for the documents.")
def main(
    sizes: str | None,
    repeat: int,
    device: str,
    data: tuple[str, ...],
    longest: float,
    results: Path,
    show: Path | None,
    markdown: bool,
) -> None:
    """Measure, print tables and targets, and write one JSON file."""
    if show is not None:
        from benchmarks.als import report

        found = json.loads(show.read_text(encoding="utf-8"))
        print(report.markdown(found)) if markdown else report.show(found)
        return
    need_device(device)
    wanted = [int(word) for word in (sizes or SIZES[device]).split(",")]
    if device == "cpu":
        run_cpu(wanted, repeat, data or DATA[device], results)
    else:
        run_gpu(wanted, repeat, data or DATA[device], device, longest, results)


def run_cpu(sizes: list[int], repeat: int, data: tuple[str, ...], path: Path) -> None:
    """Measure on one thread; LensKit and torch read their number of threads as they load."""
    use_one_thread()
    import torch

    from benchmarks.als import measure, report, targets

    torch.set_num_threads(1)
    split, note = ratings(data[0])
    part: dict[str, Any] = {
        "unit": "CPU seconds per epoch on one thread",
        "machine": machine(),
        "settings": {"sizes": sizes, "repeat": repeat},
        "data": {**described(split), "note": note},
        "rows": [],
    }
    for row in measure.measure(split, sizes, repeat):
        print(f"{row['model']} {row['size']}: {targets.ratio(row):.1f} x LensKit", flush=True)
        part["rows"].append(row)
    part["targets"] = targets.judge(part["rows"])
    part["machine"]["load_after"] = os.getloadavg()[0]
    merge(path, "cpu", part)
    report.show({"cpu": part})
    print(f"wrote {path}")


def run_gpu(
    sizes: list[int],
    repeat: int,
    data: tuple[str, ...],
    device: str,
    longest: float,
    path: Path,
) -> None:
    """Measure on a GPU, and LensKit on all cores."""
    # LensKit takes 8 threads at most unless it is told.
    os.environ["LK_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
    from benchmarks.als import gpu, report

    part: dict[str, Any] = {
        "unit": "wall seconds per epoch",
        "machine": machine(device),
        "settings": {"sizes": sizes, "repeat": repeat, "longest_s": longest},
        "data": [],
        "rows": [],
    }
    for name in data:
        split, note = ratings(name)
        part["data"].append({**described(split), "note": note})
        for row in gpu.measure(split, sizes, repeat, device, longest):
            print(f"{name} {row['model']} {row['size']}: {row['ours_s']:.3f} s", flush=True)
            part["rows"].append(row)
    merge(path, "cuda", part)
    report.show({"cuda": part})
    print(f"wrote {path}")


def ratings(name: str) -> tuple[Split, str | None]:
    """A data set divided, or generated ratings of its shape and a note that says so."""
    here, note = available(name)
    return load_split(load_dataset(here)), note


def described(split: Split) -> dict[str, Any]:
    """What was trained on."""
    return {
        "name": split.source.name,
        "title": split.source.title,
        "train_ratings": len(split.train.items),
        "users": split.n_users,
        "items": split.n_items,
    }


def merge(path: Path, name: str, part: dict[str, Any]) -> None:
    """Write one part and leave the other: they are measured on different machines."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, {**found, "benchmark": "als", name: part})


def machine(device: str = "cpu") -> dict[str, Any]:
    """What the figures are measured on."""
    found = {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "load_before": os.getloadavg()[0],
    }
    if device == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [row.partition(":")[2].strip() for row in lines if row.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
