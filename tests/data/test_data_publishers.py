"""Amazon, Last.fm and Steam: files in their formats, made by hand, whole and damaged."""

from __future__ import annotations

import gzip

import pytest
from tinyzips import expect, write_zip

from recsearch.data import Reading, load_dataset
from recsearch.data.catalogue import Shape
from recsearch.errors import DataError, DataNotFoundError, UsageError

LAYOUTS = {
    2014: "A1,B10,5.0,100\nA1,B20,3.0,200\nA2,B10,1.0,300\n",
    2018: "B10,A1,5.0,100\nB20,A1,3.0,200\nB10,A2,1.0,300\n",
    2023: "user_id,parent_asin,rating,timestamp\nA1,B10,5.0,100000\nA1,B20,3.0,200999\n"
    "A2,B10,1.0,300000\n",
}


def amazon(home, text, **reading):
    path = home / "ratings_Toys.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return load_dataset(f"amazon:{path}", reading=Reading(**reading))


@pytest.mark.parametrize("year", LAYOUTS)
def test_amazon(home, year):
    ratings = amazon(home, LAYOUTS[year])
    assert ratings.user_ids.tolist() == ["A1", "A2"]
    assert ratings.item_ids.tolist() == ["B10", "B20"]
    assert ratings.values.tolist() == [5, 3, 1]
    assert ratings.times.tolist() == [100, 200, 300]
    plain = home / "plain.csv"
    plain.write_text(LAYOUTS[year])
    assert load_dataset(f"amazon:{plain}").dataset_id == ratings.dataset_id


@pytest.mark.parametrize("year", LAYOUTS)
def test_amazon_equals_lenskits_loader(home, year):
    from lenskit.data import load_amazon_ratings

    ratings = amazon(home, LAYOUTS[year])
    theirs = load_amazon_ratings(home / "ratings_Toys.csv.gz").interactions().pandas(ids=True)
    rows = theirs.sort_values(["user_id", "item_id"])
    assert rows["user_id"].tolist() == ratings.user_ids[ratings.users].tolist()
    assert rows["item_id"].tolist() == ratings.item_ids[ratings.items].tolist()
    assert rows["rating"].tolist() == ratings.values.tolist()


def test_amazon_ratings_given_twice(home):
    text = LAYOUTS[2014] + "A1,B10,2.0,400\n"
    with pytest.raises(DataError, match=r"line 4: user A1, item B10 was already rated in .*line 1"):
        amazon(home, text)
    assert amazon(home, text, duplicates="last").values.tolist() == [2, 3, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAYOUTS[2014] + "A3,B10,9.0,1\n", "line 4: the rating is 9, expected 1 to 5"),
        (LAYOUTS[2023] + "A3,B10,0.0,1\n", "line 5: the rating is 0"),
        (LAYOUTS[2014] + "A3,B10\n", "cannot be read as Amazon ratings"),
        ("", "cannot be read as Amazon ratings"),
    ],
)
def test_bad_amazon(home, text, words):
    with pytest.raises(DataError, match=words):
        amazon(home, text)


def test_damaged_amazon(home):
    path = home / "r.csv.gz"
    path.write_bytes(gzip.compress(LAYOUTS[2014].encode())[:-9])
    with pytest.raises(DataError, match="cannot be read as Amazon ratings"):
        load_dataset(f"amazon:{path}")
    with pytest.raises(DataNotFoundError):
        load_dataset("amazon:nowhere.csv")
    with pytest.raises(UsageError, match="needs the path"):
        load_dataset("amazon:")


LASTFM = {
    "artists.dat": "id\tname\turl\tpictureURL\n5\tMotörhead\thttp://x\thttp://y\n9\tA: B\tu\tp\n",
    "user_artists.dat": "userID\tartistID\tweight\n2\t5\t13883\n2\t9\t1\n7\t9\t352698\n",
}


def lastfm(home, monkeypatch, **members):
    expect(monkeypatch, "lastfm", shape=Shape(users=2, ratings=3, items=2, rated_items=2))
    texts = {name: members.get(name.partition(".")[0], text) for name, text in LASTFM.items()}
    path = home / "named/hetrec2011-lastfm-2k.zip"
    write_zip(path, {name: text.encode() for name, text in texts.items()})
    return load_dataset("lastfm")


def test_lastfm(home, monkeypatch):
    ratings = lastfm(home, monkeypatch)
    assert ratings.user_ids.tolist() == [2, 7]
    assert ratings.titles.tolist() == ["Motörhead", "A: B"]
    assert ratings.values.tolist() == [13883, 1, 352698]
    assert ratings.times is None
    assert ratings.source.official is None
    assert ratings.source.notes == ("values are listening counts, not ratings",)
    again = load_dataset("Last.FM")
    assert again.dataset_id == ratings.dataset_id


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"user_artists": "a\tb\tc\n2\t5\n"}, "user_artists.dat, line 2: it says '2.*5', expected"),
        ({"user_artists": "a\tb\tc\n2\t5\t0\n"}, "line 2: the rating is 0, expected 1"),
        ({"user_artists": "a\tb\tc\n2\t5\t3\n\n2\t5\t3\n"}, "line 4: .*already rated in .*line 2"),
        ({"user_artists": "a\tb\tc\n2\t5\t3\n"}, r"1 users \(expected 2\)"),
        ({"artists": "id\tname\nx\tMotörhead\n"}, "artists.dat, line 2: it says"),
    ],
)
def test_bad_lastfm(home, monkeypatch, members, words):
    with pytest.raises(DataError, match=words):
        lastfm(home, monkeypatch, **members)


def test_hostile_lastfm(home, monkeypatch):
    expect(monkeypatch, "lastfm")
    path = home / "named/hetrec2011-lastfm-2k.zip"
    write_zip(path, {name: text.encode() for name, text in LASTFM.items()} | {"../x": b""})
    with pytest.raises(DataError, match="points outside of the archive"):
        load_dataset("lastfm")


PLAYERS = [
    {"user_id": "js41637", "items_count": 2, "steam_id": "7", "user_url": "u", "items": [
        {"item_id": "10", "item_name": "Counter-Strike", "playtime_forever": 6,
         "playtime_2weeks": 0},
        {"item_id": "20", "item_name": "It's \"Fun\"", "playtime_forever": 0,
         "playtime_2weeks": 0}]},
    {"user_id": "nobody", "items_count": 0, "steam_id": "8", "user_url": "u", "items": []},
    {"user_id": "7656", "items_count": 1, "steam_id": "9", "user_url": "u", "items": [
        {"item_id": "10", "item_name": "CS", "playtime_forever": 5000, "playtime_2weeks": 9}]},
]  # fmt: skip


def steam(home, *lines, **reading):
    path = home / "australian_users_items.json.gz"
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    return load_dataset(f"steam:{path}", reading=Reading(**reading))


def test_steam(home):
    ratings = steam(home, *PLAYERS)
    assert ratings.user_ids.tolist() == ["7656", "js41637"]  # who owns nothing has no rating
    assert ratings.item_ids.tolist() == ["10", "20"]
    assert ratings.titles.tolist() == ["Counter-Strike", 'It\'s "Fun"']
    assert ratings.values.tolist() == [5000, 6, 0]
    assert "minutes played" in ratings.source.notes[0]
    plain = home / "australian_users_items.json"
    plain.write_text("".join(f"{player}\n" for player in PLAYERS))
    assert load_dataset(f"steam:{plain}").dataset_id == ratings.dataset_id


def test_steam_players_who_are_there_twice(home):
    with pytest.raises(DataError, match=r"line 4: user js41637, item 10 was already .*line 1"):
        steam(home, *PLAYERS, PLAYERS[0])
    assert steam(home, *PLAYERS, PLAYERS[0], duplicates="max").values.tolist() == [5000, 6, 0]


@pytest.mark.parametrize(
    "line",
    ["{'user_id': 'x'", "{'user_id': 'x'}", "[1]", "__import__('os').getcwd()", "(" * 5000,
     "{'user_id': 'x', 'items': [{'item_id': '1', 'item_name': 'a'}]}", "null"],
)  # fmt: skip
def test_bad_steam_lines_are_named_and_never_run(home, line):
    with pytest.raises(DataError, match="line 2 is no record of a player"):
        steam(home, PLAYERS[0], line)


def test_damaged_steam(home):
    path = home / "s.json.gz"
    path.write_bytes(gzip.compress(f"{PLAYERS[0]}\n".encode() * 3)[:-9])
    with pytest.raises(DataError, match="broke off after line"):
        load_dataset(f"steam:{path}")


def test_amazon_ids_are_those_of_the_file(home):
    rows = [f"A{n},000{n},4.0,1000000000" for n in range(9)] + ["AX,B00ABC,5.0,1000000000"]
    ratings = amazon(home, "\n".join(rows) + "\n")
    assert "0001" in ratings.item_ids.tolist()
    assert "B00ABC" in ratings.item_ids.tolist()


def test_amazon_ratings_without_a_time(home):
    with pytest.raises(DataError, match="line 2: timestamp is missing"):
        amazon(home, "A1,B1,4.0,1000000000\nA2,B2,4.0,\n")


def test_a_playtime_beyond_all_floats(home):
    path = home / "steam.json"
    game = f"{{'item_id': '1', 'item_name': 'a', 'playtime_forever': {10**400}}}"
    path.write_text(f"{{'user_id': 'u', 'items': [{game}]}}\n")
    with pytest.raises(DataError, match="line 1 is no record"):
        load_dataset(f"steam:{path}")
