"""The user's own CSV and Parquet files."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsearch.data import load_dataset
from recsearch.errors import DataError, DataNotFoundError, UsageError

PLAIN = "user_id,item_id,rating,timestamp\n1,10,4,100\n1,20,3.5,200\n2,10,5,300\n"


def csv(home, text, name="r.csv"):
    path = home / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_dataset(f"csv:{path}")


def parquet(home, **columns):
    path = home / "r.parquet"
    pq.write_table(pa.table(columns), path)
    return load_dataset(f"parquet:{path}")


def test_csv(home):
    ratings = csv(home, PLAIN)
    assert ratings.user_ids.tolist() == [1, 2]
    assert ratings.item_ids.tolist() == [10, 20]
    assert ratings.user_ids.dtype == np.int64
    assert ratings.users.tolist() == [0, 0, 1]
    assert ratings.items.tolist() == [0, 1, 0]
    assert ratings.values.tolist() == [4, 3.5, 5]
    assert ratings.times.tolist() == [100, 200, 300]
    source = ratings.source
    assert (source.name, source.origin) == (f"csv:{home}/r.csv", "r.csv")
    assert (source.official, source.generated, source.notes) == (None, False, ())


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("user_id,item_id", "userId,movieId"),
        PLAIN.replace("user_id,item_id,rating,timestamp", "User,ITEM,Score,Time"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", ";"),
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN,
        PLAIN.replace("1,10", '"1", 10 '),
        PLAIN + "\n\n",
        'rating,note,timestamp,item_id,user_id\n5,a,300,10,2\n3.5,b,200,20,1\n4,"c\nd",100,10,1\n',
        "user,item,rating,time\n2,10,5,1970-01-01 00:05:00\n1,10,4,1970-01-01 00:01:40\n"
        "1,20,3.5,1970-01-01 00:03:20\n",
        "user,item,rating,time\n2,10,5,1970-01-01T00:05:00Z\n1,10,4,1970-01-01T00:01:40Z\n"
        "1,20,3.5,1970-01-01T00:03:20Z\n",
    ],
)
def test_spellings_of_the_same_content(home, text):
    assert csv(home, text).dataset_id == csv(home, PLAIN, "plain.csv").dataset_id


def test_parquet_equals_csv(home):
    expected = csv(home, PLAIN).dataset_id
    moments = [datetime.fromtimestamp(t, UTC) for t in (100, 200, 300)]
    for users, values, times in (
        ([1, 1, 2], [4.0, 3.5, 5.0], [100, 200, 300]),
        ([1.0, 1.0, 2.0], ["4", "3.5", "5"], [100.0, 200.0, 300.0]),
        (["1", "1", "2"], pa.array(["4", "3.5", "5"]).dictionary_encode(), moments),
    ):
        ratings = parquet(home, user=users, item=[10, 20, 10], rating=values, timestamp=times)
        assert ratings.dataset_id == expected


def test_dates_become_seconds(home):
    ratings = parquet(home, user=[1], item=[2], date=[date(1970, 1, 2)])
    assert ratings.times.tolist() == [86400]


def test_without_ratings_each_row_counts_as_one(home):
    ratings = csv(home, "user,item\na,x\nb,x\n")
    assert ratings.values.tolist() == [1, 1]
    assert ratings.times is None
    assert ratings.user_ids.tolist() == ["a", "b"]


def test_ids_that_only_look_like_numbers_stay_apart(home):
    ratings = csv(home, "user,item\n7,a\n007,a\n")
    assert ratings.user_ids.tolist() == ["007", "7"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("user,item,rating\n", "holds no ratings"),
        ("user,film,rating\n1,2,3\n", "no column item_id: it has user, film, rating"),
        ("1,2,3\n1,3,3\n", "no column user_id and no column item_id: it has 1, 2, 3"),
        ("user,item,rating\n1,2,3\n1,3,nan\n", "line 3: the rating is nan"),
        ("user,item,rating\n1,2,inf\n1,3,3\n", "line 2: the rating is inf"),
        ("user,item,rating\n1,2,3\n1,3,\n", r"line 3: rating is missing \(1 such rows"),
        ("user,item,rating\n1,2,3\n,3,3\n", "line 3: user is missing"),
        ("user,item,rating\n1,2,3\n1,3,good\n", "line 3: rating is 'good', expected a number"),
        ("user,item,rating\n1,2,3\n\n\n1,3,good\n", "line 5: rating is 'good'"),
        ('user,item,rating,note\n1,2,3,"a\nb"\n1,3,good,\n', "line 4: rating is 'good'"),
        ("user,item,time\n1,2,3\n1,3,noon\n", "line 3: time is 'noon', expected whole seconds"),
        ("user,item,time\n1,2,3\n1,3,0.5\n", "line 3: time is 0.5, expected whole seconds"),
        ("user,item\n1,2\n1,3\n1,2\n", "line 4: user 1, item 2 was already rated in r.csv, line 2"),
        ("user,item\n1,2,3\n", "cannot be read as CSV"),
        (b"user,item\n\xff,1\n", "UTF-?8"),
        (b"\xffuser,item\n1,1\n", "UTF-?8"),
    ],
)
def test_bad_csv(home, text, words):
    with pytest.raises(DataError, match=words):
        csv(home, text)


def test_first_bad_value_among_many_is_named(home):
    rows = [f"{u},1,{'x' if u in (700, 1500) else 3}" for u in range(2000)]
    with pytest.raises(DataError, match=r"line 702: rating is 'x'"):
        csv(home, "user,item,rating\n" + "\n".join(rows))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"user": [1, 2], "rating": [1, 2]}, "no column item_id: it has user, rating"),
        ({"user": [1, None], "item": [1, 2]}, "row 2: user is missing"),
        ({"user": [1, 1.5], "item": [1, 2]}, "row 2: user is 1.5, expected a whole number"),
        (
            {"user": [1, 2], "item": [1, 2], "rating": [1.0, float("nan")]},
            "row 2: the rating is nan",
        ),
        ({"user": [1, 1], "item": [2, 2]}, "row 2: user 1, item 2 was already rated in .*row 1"),
        ({"user": pa.array([2**63], pa.uint64()), "item": [1]}, "64-bit whole number"),
        ({"user": [[1], [2]], "item": [1, 2]}, "user"),
        ({"user": pa.array([], pa.int64()), "item": pa.array([], pa.int64())}, "no ratings"),
    ],
)
def test_bad_parquet(home, columns, words):
    with pytest.raises(DataError, match=words):
        parquet(home, **columns)


def test_not_parquet(home):
    (home / "r.parquet").write_text("user,item\n")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        load_dataset(f"parquet:{home}/r.parquet")


def test_absent_file_and_absent_path(home):
    with pytest.raises(DataNotFoundError, match=r"no file .*nowhere\.csv"):
        load_dataset(f"csv:{home}/nowhere.csv")
    with pytest.raises(UsageError, match="needs the path"):
        load_dataset("csv:")


def test_name_is_as_typed(home):
    (home / "work" / "r.csv").write_text(PLAIN)
    assert load_dataset("csv:r.csv").source.name == "csv:r.csv"


@pytest.mark.parametrize("text", ["1e39", "-1e300"])
def test_ratings_beyond_single_precision_are_not_finite(home, text):
    with pytest.raises(DataError, match=r"line 3.*expected a finite number"):
        csv(home, f"user,item,rating\n1,1,3\n1,2,{text}\n")


def test_bytes_of_columns_that_are_not_read_may_be_anything(home):
    lines = [b"user,item,rating,note"] + [b"%d,1,3,x" % n for n in range(3000)]
    path = home / "r.csv"
    path.write_bytes(b"\n".join([*lines, b"7,1,3,\xff", b"7,1,3,x"]) + b"\n")
    with pytest.raises(DataError, match="line 3002"):
        load_dataset(f"csv:{path}")


def test_a_delimiter_beyond_ascii(home):
    from recsearch.data import Reading

    path = home / "r.csv"
    path.write_text("user§item§rating\n1§2§3\n1§3§4.5\n", encoding="utf-8")
    assert load_dataset(f"csv:{path}", reading=Reading(delimiter="§")).values.tolist() == [3, 4.5]


def test_times_finer_than_microseconds(home):
    times = pa.array([10**18 + 1, 10**18 + 2], pa.timestamp("ns"))
    ratings = parquet(home, user=[1, 2], item=[1, 1], timestamp=times)
    assert ratings.times.tolist() == [10**9, 10**9]
