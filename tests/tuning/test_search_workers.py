"""The same search on one worker and on several."""

from __future__ import annotations

import pytest
from search_bench import Bench, ok

from recsearch.run import RunView

pytestmark = pytest.mark.ray


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_results_do_not_depend_on_the_number_of_workers(bench: Bench, scheduler: str) -> None:
    options = {"grace": 1, "min_peers": 1} if scheduler == "median" else {}
    bench.search_file(trials=8, method="tpe", scheduler=scheduler, scheduler_options=options, lag=3)
    journals = []
    for workers in ("1", "3"):
        root = bench.folder / "runs" / f"w{workers}"
        ok(bench.search("--workers", workers, "--run", str(root), "--store", f"store{workers}"))
        record = RunView.open(root).record
        journals.append(
            {n: (t.params, t.state, t.reason, t.history("RMSE")) for n, t in record.trials.items()}
        )
    assert journals[0] == journals[1]
    assert any(state == "pruned" for _, state, _, _ in journals[0].values())
