"""The cost model against counts by hand, and the refusal of what cannot fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search_tools import ITEMS, USERS, planted_split

from recsearch import cost
from recsearch.cost import (
    CostModel,
    available_bytes,
    check_memory,
    expected_epochs,
    largest,
    measure_rate,
)
from recsearch.errors import UsageError
from recsearch.evaluation import parse
from recsearch.models import resolve
from recsearch.models.als.work import row_flops
from recsearch.pruning import Asha, Halving, Median, NoPruning, Rule
from recsearch.record import Record
from recsearch.spec import SearchSpec, load_search
from recsearch.stopping import NoStop, Plateau, StopRule


def als(maximum: int = 512, scale: str = "log") -> tuple[SearchSpec, CostModel]:
    space = {"space.embedding_size.max": maximum, "space.embedding_size.scale": scale}
    spec = load_search("als", overrides=space)
    return spec, CostModel(resolve("als"), planted_split(), rate=1e9)


def test_each_row_is_counted_in_its_cheaper_form() -> None:
    d = 6
    for n, expected in ((0, 0), (2, 2**2 * d + 2**3 / 3), (50, 50 * d**2 + d**3 / 3)):
        assert row_flops(np.array([n]), d) == pytest.approx(expected)
    both = [row_flops(np.array([n]), d) for n in (2, 50)]
    assert row_flops(np.array([2, 50, 0]), d) == pytest.approx(sum(both))


def test_work_of_als_is_that_of_both_sides() -> None:
    # 20 users with 2 ratings each, of items 0 and 1; the ten other items have none.
    work = resolve("als").work({"embedding_size": 4}, planted_split())
    users, items = 2**2 * 4 + 2**3 / 3, 20 * 4**2 + 4**3 / 3
    assert work.flops == pytest.approx(USERS * users + 2 * items)
    assert work.gathered == 2 * (2 * USERS) * 4
    assert work.peak_bytes > 2 * 4 * 4 * (USERS + ITEMS), "more than two epochs' vectors"


def test_implicit_adds_its_shared_products() -> None:
    config = {"embedding_size": 4}
    shared = 8 * (USERS + ITEMS) * 4**2
    found = resolve("als-implicit").work(config, planted_split())
    plain = resolve("als").work(config, planted_split())
    assert found.flops == pytest.approx(plain.flops + shared)
    assert found.peak_bytes > plain.peak_bytes


def test_a_family_that_does_not_say_has_memory_but_no_time() -> None:
    model = CostModel(resolve("planted:Planted"), planted_split(), rate=1e9)
    config = {"level": 1.0, "size": 1000}
    assert model.train_seconds(config) is model.epoch_seconds(config) is None
    assert model.family.work(config, model.split).peak_bytes == 4 * (256 + 4000)


@pytest.mark.parametrize(
    ("most", "stop", "pruning", "expected"),
    [
        pytest.param(7, NoStop(), NoPruning(), 7, id="all"),
        pytest.param(30, Plateau(patience=3, grace=3), NoPruning(), 5, id="plateau"),
        pytest.param(4, Plateau(patience=3, grace=3), NoPruning(), 4, id="plateau-short"),
        pytest.param(9, NoStop(), Asha(grace=1, eta=3, max_epochs=9), 1 + 2 / 3 + 6 / 9, id="asha"),
        pytest.param(5, NoStop(), Median(grace=2), 2 + 3 / 2, id="median"),
        pytest.param(4, NoStop(), Halving(grace=2, eta=4), 2 + 1 / 4 + 1 / 16, id="halving"),
        pytest.param(1, NoStop(), NoPruning(), 1, id="one-shot"),
    ],
)
def test_expected_epochs(most: int, stop: StopRule, pruning: Rule, expected: float) -> None:
    assert expected_epochs(most, stop, pruning, 2) == pytest.approx(expected)


def test_a_run_corrects_the_times_and_cached_epochs_do_not_count() -> None:
    _, model = als()
    config = {"embedding_size": 32}
    record = Record(parse("RMSE"))
    record.apply({"event": "suggested", "trial": 1, "params": {}, "config": config, "key": "k",
                  "origin": "tpe", "time": ""})  # fmt: skip
    expected, evaluated = model.train_seconds(config), model.eval_seconds(config)
    assert expected is not None
    for epoch, factor, cached in ((1, 2.0, False), (2, 4.0, False), (3, 99.0, True)):
        record.apply({"event": "epoch", "trial": 1, "epoch": epoch, "metrics": {}, "time": "",
                      "train_s": factor * expected, "eval_s": 5 * evaluated,
                      "cached": cached})  # fmt: skip
    found = model.calibrated(record)
    assert found.measured_epochs == 2
    assert found.train_seconds(config) == pytest.approx(3 * expected)
    assert found.eval_seconds(config) == pytest.approx(5 * evaluated)


def test_what_is_measured_stands_in_for_what_a_family_does_not_say() -> None:
    model = CostModel(resolve("planted:Planted"), planted_split(), rate=1e9)
    record = Record(parse("RMSE"))
    record.apply({"event": "suggested", "trial": 1, "params": {}, "config": {"size": 0}, "key": "k",
                  "origin": "tpe", "time": ""})  # fmt: skip
    for epoch in (1, 2):
        record.apply({"event": "epoch", "trial": 1, "epoch": epoch, "metrics": {}, "time": "",
                      "train_s": float(epoch), "eval_s": 0.1})  # fmt: skip
    assert model.calibrated(record).train_seconds({"size": 0}) == 1.5


def test_the_rate_of_this_machine_is_measured() -> None:
    assert measure_rate(0.001) > 1e6


def test_the_largest_configuration_is_at_the_bound() -> None:
    spec, model = als(maximum=100)
    point, config = largest(spec, model)
    assert point["embedding_size"] == config["embedding_size"] == 100


@pytest.mark.parametrize("scale", ["log", "pow2"])
def test_what_cannot_fit_is_refused_with_values_that_do(scale: str) -> None:
    spec, model = als(maximum=1 << 20, scale=scale)
    _, config = largest(spec, model)
    free = model.total_bytes(config, 1)
    check_memory(spec, model, 1, free)
    with pytest.raises(UsageError) as caught:
        check_memory(spec, model, 2, free)
    assert f"2 trials at a time with embedding_size = {1 << 20}" in caught.value.message
    hint = str(caught.value.hint)
    assert "--workers 1" in hint
    bound = int(hint.rpartition("space.embedding_size.max=")[2].rstrip("."))
    fitting, _ = als(maximum=bound, scale=scale)
    check_memory(fitting, model, 2, free)
    too_large, _ = als(maximum=2 * bound if scale == "pow2" else bound + 1, scale=scale)
    with pytest.raises(UsageError):
        check_memory(too_large, model, 2, free)


def test_no_more_trials_count_than_run_at_a_time_and_a_settled_space_is_left_alone() -> None:
    spec, model = als(maximum=1 << 20)
    _, config = largest(spec, model)
    lag = spec.search.lag
    enough = model.total_bytes(config, lag)
    check_memory(spec, model, 64, enough)
    with pytest.raises(UsageError) as caught:
        check_memory(spec, model, 64, enough - 1, begun=True)
    assert f"{lag} trials at a time" in caught.value.message
    assert str(caught.value.hint) == f"Use --workers {lag - 1}."


def test_a_container_may_have_less_than_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "CGROUP", tmp_path)
    for name, text in (("max", "5000"), ("current", "3000"), ("stat", "anon 9\nfile 1000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert available_bytes() == 5000 - (3000 - 1000)
    (tmp_path / "memory.max").write_text("max")
    assert available_bytes() > 5000


def test_nothing_is_known_beforehand_of_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    _, model = als()
    monkeypatch.setattr(model.family, "device", "cuda")
    config = {"embedding_size": 8}
    assert model.train_seconds(config) is None
    assert replace(model, known_epoch_s=2.0).train_seconds(config) == 2.0


def test_where_no_setting_helps_none_is_named() -> None:
    spec, model = als()
    with pytest.raises(UsageError) as caught:
        check_memory(spec, model, 2, 1000)
    assert "--" not in str(caught.value.hint)
