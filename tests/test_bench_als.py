"""The bench of ALS: its other ways solve the same equations, and its verdicts are right."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent / "models"))

from model_splits import make_split
from test_als_solver import random_matrix, reference, vectors

from benchmarks.als import __main__ as bench
from benchmarks.als import gpu, measure, report, targets
from benchmarks.als.alternatives import WAYS
from benchmarks.als.sides import Case


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("d", [3, 16, 60])
def test_every_way_equals_float64_algebra(way: str, d: int) -> None:
    matrix = random_matrix([0, 1, 7, 40, 40, 41, 20, 0], scaled=True)
    other = vectors(45, d)
    for per_entry in (True, False):
        found = WAYS[way](matrix.rows(), d).solve(other, 0.3, per_entry=per_entry)
        expected = reference(matrix, other, 0.3, per_entry)
        np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("name", measure.MODELS)
def test_a_row_has_every_way_but_slow_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ORDER", 32)
    monkeypatch.setattr(measure, "ENOUGH", 0.0)
    row = measure.one(Case(name, 6, make_split()), 2, {"by row, BLAS"})
    assert list(row["ways"]) == [way for way in WAYS if way != "by row, BLAS"]
    assert row["epochs"] == row["compared_epochs"] == 2
    assert row["difference"] < 1e-4
    json.dumps(row)


@pytest.mark.parametrize("name", measure.MODELS)
def test_the_row_of_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU: what it measures, not how fast; so nothing is compiled for it."""
    monkeypatch.setenv("LK_TORCH_COMPILE", "0")
    found = gpu.one(Case(name, 6, make_split()), 2, "cpu", True)
    assert found["lenskit_s"] > 0
    assert found["flexmf_s"] > 0
    if name == "als":
        assert found["difference"] < 1e-4
    else:
        assert found["difference"] is None
    assert gpu.one(Case(name, 6, make_split()), 1, "cpu", False)["lenskit_s"] is None


def row(model: str, size: int, theirs: float, ours: float, **others: Any) -> dict[str, Any]:
    return {
        "model": model, "size": size, "lenskit_s": theirs, "ours_s": ours, "gflop": 50.0,
        "sgemm_gflops": 50.0, "metric": "RMSE", "difference": 1e-6, "ways": {"torch": 1.0},
        **others,
    }  # fmt: skip


def test_verdicts() -> None:
    rows = [
        row("als", 8, 1.0, 1.1),
        row("als", 64, 2.2, 1.1),
        row("als", 130, 7.0, 1.8, difference=2e-4),
        row("als-implicit", 512, 9.0, 1.1, metric="NDCG@10", sgemm_gflops=100.0),
    ]
    assert targets.limits(rows) == [0.5] * 4, "the best rate of the run counts for all"
    found = {verdict["target"]: verdict["met"] for verdict in targets.judge(rows)}
    assert found == {
        "als at 8: LensKit / ours": False,
        "als at 64: LensKit / ours": True,
        "als at 130: LensKit / ours": False,
        "als-implicit at 512: LensKit / ours": True,
        "als at 130: ours / arithmetic limit": False,
        "als-implicit at 512: ours / arithmetic limit": False,
        "als at 8: RMSE, difference to LensKit": True,
        "als at 64: RMSE, difference to LensKit": True,
        "als at 130: RMSE, difference to LensKit": False,
    }
    assert [targets.least_ratio(size) for size in (4, 63, 64, 128, 300, 512, 1024)] == [
        1, 1, 2, 4, 6, 8, 8,
    ]  # fmt: skip


def test_parts_of_two_machines_are_kept_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "als.json"
    about = {**bench.machine(), "gpu": "some GPU"}
    data = {"name": "made", "train_ratings": 5}
    on_cpu = {"machine": bench.machine(), "data": data, "rows": [row("als", 8, 3.0, 1.0)]}
    bench.merge(path, "cpu", on_cpu)
    on_gpu = {
        "data": "made", "train_ratings": 5, "model": "als", "size": 64, "lenskit_s": None,
        "ours_s": 0.25, "flexmf_s": 0.5, "peak_gpu_bytes": 2**31, "difference": None,
    }  # fmt: skip
    bench.merge(path, "cuda", {"machine": about, "data": [data], "rows": [on_gpu]})
    text = report.markdown(json.loads(path.read_text()))
    assert "| als | 8 | 3 | 1 | 3.0 |" in text
    assert "| made | 5 | als | 64 |  | 0.25 |  | 0.5 | 2 |  |" in text
    assert "some GPU, " in text
    shown = CliRunner().invoke(bench.main, ["--show", str(path), "--markdown"])
    assert shown.exit_code == 0
    assert shown.output.strip() == text.strip()
    assert "MISSED" not in CliRunner().invoke(bench.main, ["--show", str(path)]).output
