from __future__ import annotations

import pytest

from recsearch.errors import UsageError
from recsearch.settings import run_name
from recsearch.targets import divide


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("als", "ml1m"), "als-ml1m"),
        (("searches/als.toml", "demo:ml1m"), "als-demo-ml1m"),
        (("als", "csv:/some/where/ratings.csv"), "als-csv-ratings"),
        (("als", "ml1m", ["NDCG@10", "seed7"]), "als-ml1m-ndcg10-seed7"),
    ],
)
def test_runs_are_named_by_what_they_search(arguments: tuple, name: str) -> None:
    assert run_name(*arguments) == name


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("als-ml1m", ("als", "ml1m")),
        ("als-implicit-ml1m", ("als-implicit", "ml1m")),
        ("als-ml-latest-small", ("als", "ml-latest-small")),
        ("als-demo:20x", ("als", "demo:20x")),
    ],
)
def test_one_word_is_divided_at_the_longest_known_search(
    target: str, parts: tuple[str, str]
) -> None:
    assert divide(target) == parts


@pytest.mark.parametrize("target", ["als", "als-", "knn-ml1m"])
def test_a_word_that_cannot_be_divided_says_what_is_known(target: str) -> None:
    with pytest.raises(UsageError, match="als-implicit"):
        divide(target)
