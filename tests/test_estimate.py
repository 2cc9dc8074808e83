"""What a search will take, before it starts: counted by hand, and compared with real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from search_tools import search_without_ray

from recsearch.errors import UsageError
from recsearch.estimate import Estimate, estimate, free_bytes, parse_size
from recsearch.request import Request, Resolved, resolve_request
from recsearch.spec import load_search
from recsearch.store import Store


@pytest.fixture
def resolve(tmp_path: Path) -> Callable[..., Resolved]:
    def resolve(search: str = "als", **overrides: Any) -> Resolved:
        values = {key.replace("__", "."): value for key, value in overrides.items()}
        spec = load_search(search, overrides=values)
        return resolve_request(Request(spec, "demo", tmp_path / "run", str(tmp_path / "store")))

    return resolve


def of(resolved: Resolved) -> Estimate:
    found = estimate(resolved)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("retention", "trials", "epochs", "lag", "kept"),
    [
        ("best+last", 10, 5, 1, 20),
        ("best+last", 10, 1, 1, 10),
        ("all", 10, 5, 1, 50),
        ("best", 10, 5, 2, 12),
        ("none", 10, 5, 3, 6),
        ("none", 10, 5, 1, 2),
        ("every:2", 10, 5, 1, 21),
        ("best:3+last:2", 4, 9, 1, 16),
        ("all, topk-trials:2", 10, 5, 2, 18),
        ("all, topk-trials:2:none", 10, 5, 2, 10),
        ("best+last, pruned:none", 10, 5, 1, 20),
    ],
)
def test_the_number_of_checkpoints_that_stay(
    resolve: Callable[..., Resolved],
    retention: str,
    trials: int,
    epochs: int,
    lag: int,
    kept: int,
) -> None:
    for metric in ("RMSE", "NDCG@10"):
        resolved = resolve(
            search__retention=retention, search__trials=trials, search__max_epochs=epochs,
            search__lag=lag, search__metric=metric,
        )  # fmt: skip
        assert of(resolved).epochs == kept


def test_sizes_are_those_of_the_model_over_the_space(resolve: Callable[..., Resolved]) -> None:
    resolved = resolve(space__embedding_size__min=8, space__embedding_size__max=8)
    split = resolved.split
    one = 4 * (split.n_users + split.n_items) * 9 + 8
    found = of(resolved)
    assert (found.mean, found.largest) == (one, one)
    assert found.needed == found.shared + 2 * one
    assert found.total == found.shared + found.epochs * one
    wide = of(resolve(space__embedding_size__min=8, space__embedding_size__max=300))
    assert wide.largest == 4 * (split.n_users + split.n_items) * 301 + 8
    assert 5 * one < wide.mean < 15 * one, "log-uniform: 80 in the mean"


def test_a_model_trained_once_has_one_checkpoint_per_trial(
    resolve: Callable[..., Resolved],
) -> None:
    found = of(resolve("bias", search__trials=7))
    assert found.epochs == 7
    assert found.needed == found.shared + found.largest
    assert of(resolve("popular")).trials == 1, "a space of one point"


def test_it_is_a_fair_guess_of_what_is_stored(tmp_path: Path) -> None:
    view = search_without_ray(
        tmp_path, search__trials=4, search__max_epochs=4, search__stop="none",
        search__scheduler="none", search__retention="best:2+last:2", search__lag=1,
        space__embedding_size__min=64, space__embedding_size__max=64,
    )  # fmt: skip
    spec = load_search("als", overrides={
        "search.trials": 4, "search.max_epochs": 4, "search.stop": "none", "search.lag": 1,
        "search.scheduler": "none", "search.retention": "best:2+last:2",
        "space.embedding_size.min": 64, "space.embedding_size.max": 64,
    })  # fmt: skip
    expected = of(resolve_request(Request(spec, "demo", tmp_path / "run", str(tmp_path / "store"))))
    with Store.open(view.store_url) as store:
        stored = sum(len(store.epochs(trial.key)) for trial in view.trials)
        logical = store.du().logical_bytes
    assert expected.epochs == pytest.approx(stored, abs=4)
    assert expected.mean * stored == pytest.approx(logical, rel=0.2)


def test_a_quota_that_holds_no_trial_is_refused_and_says_what_would_do() -> None:
    found = Estimate(
        trials=5, epochs=10, mean=5e6, largest=9_000_000, shared=1000, needed=18_001_000
    )
    found.check(None)
    found.check(18_001_000)
    with pytest.raises(UsageError) as caught:
        found.check(18_000_999)
    assert caught.value.exit_code == 2
    for fragment in ("18.0 MB", "9.0 MB per epoch", "--quota '36.0 MB'"):
        assert fragment in str(caught.value)


def test_the_sentence_tells_what_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Estimate(trials=10, epochs=10, mean=1e6, largest=2_000_000, shared=0, needed=4_000_000)
    url = str(tmp_path)
    monkeypatch.setattr("recsearch.estimate.free_bytes", lambda url: 7_000_000)
    start = "checkpoints: up to 10.0 MB (10 of 1.0 MB on average)"
    short = "7.0 MB free, which may not be enough: see --quota and --retention"
    assert found.sentence(None, url, 0, False) == f"{start} · {short}"
    assert found.sentence(None, url, 4, False) == f"{start} · 7.0 MB free"
    assert found.sentence(20_000_000, url, 4, False) == f"{start} · quota 20.0 MB · 7.0 MB free"
    drops = "quota 6.0 MB, beyond which those of the worst trials are dropped"
    assert found.sentence(6_000_000, url, 0, False) == f"{start} · {drops} · 7.0 MB free"
    assert "beyond which the search stops" in found.sentence(6_000_000, url, 0, True)
    monkeypatch.setattr("recsearch.estimate.free_bytes", lambda url: None)
    assert found.sentence(None, "s3://bucket/store", 0, False) == start


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("none", None), ("0 B", 0), ("800 B", 800), ("1.5 kB", 1500), ("5 GB", 5 * 10**9),
        ("5GB", 5 * 10**9), ("2 MiB", 2 * 2**20), ("1.5 TiB", 3 * 2**39), ("2 TB", 2 * 10**12),
    ],
)  # fmt: skip
def test_sizes_are_read(text: str, size: int | None) -> None:
    assert parse_size(text) == size
    assert load_search("als", overrides={"search.quota": text}).search.quota == text


@pytest.mark.parametrize("text", ["", "5", "5 gb", "-1 GB", "1e3 B", "5 GB ", "GB", "5 iB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)
    with pytest.raises(UsageError, match="5 GB"):
        load_search("als", overrides={"search.quota": text})


def test_free_space_is_that_of_the_disk_the_store_will_be_on(tmp_path: Path) -> None:
    there = free_bytes(str(tmp_path))
    assert there is not None
    assert there > 0
    for url in (str(tmp_path / "not" / "yet"), f"file://{tmp_path}/not/yet", "store", "~/store"):
        assert free_bytes(url) is not None
    assert free_bytes("s3://bucket/store") is None
