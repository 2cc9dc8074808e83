"""How files are read where they do not speak for themselves: columns, delimiters, duplicates."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsearch.data import Reading, load_dataset, reading_of_table
from recsearch.errors import DataError, UsageError

PLAIN = "user_id,item_id,rating,timestamp\n1,10,4,100\n1,20,3.5,200\n2,10,5,300\n"
ROWS = "1::10::4::100\n1::20::3.5::200\n\n2::10::5::300\n"
NUMBERS = {"user_id": 1, "item_id": 2, "rating": 3, "timestamp": 4}


def read(home, text, **reading):
    path = home / "r.csv"
    path.write_text(text)
    return load_dataset(f"csv:{path}", reading=Reading(**reading))


def test_all_layouts_of_one_content_are_one_data_set(home):
    expected = read(home, PLAIN).dataset_id
    names = {"user_id": "u", "item_id": "who", "rating": "item", "timestamp": "t"}
    for text, reading in (
        (ROWS, {"delimiter": "::", "columns": NUMBERS}),
        ("a::b::c::d\n" + ROWS, {"delimiter": "::", "columns": {
            "user_id": "a", "item_id": "b", "rating": "c", "timestamp": "d"}}),
        (ROWS.replace("::", "\t"), {"columns": NUMBERS}),
        (ROWS.replace("::", "#"), {"columns": NUMBERS, "delimiter": "#"}),
        (PLAIN.replace("user_id,item_id,rating,timestamp", "u,who,item,t"), {"columns": names}),
    ):  # fmt: skip
        assert read(home, text, **reading).dataset_id == expected


def test_columns_of_parquet(home):
    path = home / "r.parquet"
    pq.write_table(pa.table({"a": [1, 1, 2], "b": [10, 20, 10], "c": [4, 3.5, 5]}), path)
    names = {"user_id": "a", "item_id": "b", "rating": "c"}
    assert load_dataset(f"parquet:{path}", reading=Reading(names)).values.tolist() == [4, 3.5, 5]


@pytest.mark.parametrize(
    ("text", "reading", "words"),
    [
        (PLAIN, {"columns": {"rating": "ratin"}}, r"no column ratin, .*did you mean rating\?"),
        (PLAIN.replace("user_id", "who"), {}, "no column user_id"),
        ("1::2::3\n1::3\n", {"delimiter": "::", "columns": NUMBERS}, "no column 4"),
        ("u::item\n1::2\n1::3::4\n", {"delimiter": "::", "columns": {"user_id": "u"}},
         "line 3: 3 columns, expected 2"),
        (ROWS + "3::4::x::1\n", {"delimiter": "::", "columns": NUMBERS}, "line 5: 3 is 'x'"),
        ("1,2,3\n1,3,x\n", {"columns": {"user_id": 1, "item_id": 2, "rating": 3}},
         "line 2: 3 is 'x', expected a number"),
    ],
)  # fmt: skip
def test_errors_name_line_or_column(home, text, reading, words):
    with pytest.raises(DataError, match=words):
        read(home, text, **reading)


@pytest.mark.parametrize(
    ("name", "reading", "words"),
    [
        ("csv:r", {"columns": {"user": "a"}}, "no such column, expected one of user_id"),
        ("csv:r", {"columns": {"user_id": 0, "item_id": 1}}, "does not fit, expected names"),
        ("csv:r", {"columns": {"user_id": 1}}, "of at least user_id and item_id"),
        ("csv:r", {"columns": {"user_id": "a", "item_id": "a"}}, "one column of the file twice"),
        ("csv:r", {"delimiter": ""}, "one character or several"),
        ("parquet:r", {"delimiter": ";"}, "for csv: files, not for parquet"),
        ("parquet:r", {"columns": {"user_id": 1, "item_id": 2}}, "does not fit"),
        ("ml1m", {"columns": {"user_id": "a"}}, "for csv: and parquet: files, not for ml1m"),
        ("demo", {"duplicates": "least"}, "one of error, first, last, mean, max"),
    ],
)
def test_readings_that_fit_no_file(name, reading, words):
    with pytest.raises(UsageError, match=words):
        load_dataset(name, reading=Reading(**reading))


REPEATED = "user,item,rating,time\n1,7,2,50\n1,8,1,10\n1,7,5,30\n1,7,5,40\n1,7,4,30\n"


@pytest.mark.parametrize(
    ("rule", "value", "time"),
    [("first", 5, 30), ("last", 2, 50), ("mean", 4, 50), ("max", 5, 40)],
)
def test_duplicates_by_hand(home, rule, value, time):
    ratings = read(home, REPEATED, duplicates=rule)
    assert (ratings.values.tolist(), ratings.times.tolist()) == ([value, 1], [time, 10])
    assert ratings.source.notes[0].startswith("of several ratings of one item by one user, ")


def test_without_times_the_file_has_the_order(home):
    text = "user,item,rating\n1,7,2\n1,8,1\n1,7,5\n"
    assert read(home, text, duplicates="first").values.tolist() == [2, 1]
    assert read(home, text, duplicates="last").values.tolist() == [5, 1]


def test_duplicates_are_an_error_unless_a_rule_is_given(home):
    with pytest.raises(DataError, match=r"line 4: .* already rated in r.csv, line 2") as caught:
        read(home, REPEATED)
    assert "--read duplicates=last" in caught.value.hint
    read(home, REPEATED, duplicates="max")
    with pytest.raises(DataError, match="already rated"):  # not from the cache of the other rule
        read(home, REPEATED)


def test_readings_come_back_from_their_tables():
    for reading in (Reading(), Reading(NUMBERS, "::", "mean")):
        assert reading_of_table(reading.table()) == reading
    assert Reading().table() == {}
    assert np.isfinite(len(Reading().notes()))
