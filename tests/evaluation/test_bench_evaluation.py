"""The bench of the evaluation: that it compares equals, and that it compares at all."""

from __future__ import annotations

import pytest
from test_piped import crowd

from benchmarks.search import evaluation as bench
from recsearch.evaluation.prepared import prepared


def test_both_sides_measure_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    found = bench.run(crowd(), [4], users=300)
    compared = found["lenskit"]["differences"]["same_lists"]
    assert set(compared) == {"RMSE", "MAE", *bench.METRICS[4:]}
    assert max(compared.values()) < 1e-6
    assert found["lenskit"]["ratio"] == found["lenskit"]["lenskit_s"] / found["lenskit"]["ours_s"]
    assert [row["size"] for row in found["training"]] == [4]
    assert found["large"]["peak_bytes"] < 64 << 20
    bench.show(found)
    assert "300 users, 27,000 items" in capsys.readouterr().out


def test_the_large_shape_is_a_split() -> None:
    split = bench.large_split(50)
    held = prepared(split)
    assert held.counts.tolist() == [bench.HELD] * 50
    for user in range(50):
        begin, end = split.train.indptr[user : user + 2]
        items = split.train.items[begin:end].tolist()
        own = split.heldout.items[user * bench.HELD : (user + 1) * bench.HELD].tolist()
        assert len({*items, *own}) == bench.RATED + bench.HELD
        assert items == sorted(items)
        assert max(*items, *own) < bench.ITEMS
