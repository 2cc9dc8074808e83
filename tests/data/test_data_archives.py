"""MovieLens archives: the three formats, wrong contents, hostile and damaged files."""

from __future__ import annotations

import stat
import zipfile

import numpy as np
import pytest
from tinyzips import (
    FORMATS,
    ROWS,
    SHAPE,
    TITLES,
    expect,
    members_1m,
    members_latest,
    sha256,
    write_zip,
)

from recsearch.data import archive as archive_module
from recsearch.data import load_dataset
from recsearch.data.catalogue import Shape
from recsearch.errors import DataError


def place(home, monkeypatch, members, name="ml1m", **expected):
    """Put an archive on the search path under the name that the catalogue expects."""
    entry = expect(monkeypatch, name, **expected)
    return write_zip(home / "named" / entry.archive.file, members)


@pytest.mark.parametrize("name", FORMATS)
def test_formats_give_the_same_ratings(home, monkeypatch, name):
    path = place(home, monkeypatch, FORMATS[name](), name)
    expect(monkeypatch, name, sha256=sha256(path))
    ratings = load_dataset(name, allow_download=False)
    assert ratings.user_ids.tolist() == [3, 7]
    assert ratings.item_ids.tolist() == [10, 20, 30, 40]
    assert ratings.titles.tolist() == list(TITLES.values())
    rows = zip(
        ratings.user_ids[ratings.users],
        ratings.item_ids[ratings.items],
        ratings.values,
        ratings.times,
        strict=True,
    )
    assert list(rows) == sorted(ROWS)
    assert (ratings.users.dtype, ratings.items.dtype) == (np.int32, np.int32)
    assert (ratings.values.dtype, ratings.times.dtype) == (np.float32, np.int64)
    source = ratings.source
    assert (source.name, source.official, source.generated, source.notes) == (name, True, False, ())
    assert (source.origin, source.sha256) == (path.name, sha256(path))


def test_identity_is_of_contents_not_of_format(home, monkeypatch):
    found = set()
    for name, members in FORMATS.items():
        place(home, monkeypatch, members(), name)
        found.add(load_dataset(name, allow_download=False).dataset_id)
    assert len(found) == 1


def test_vocabulary_equals_lenskit(home, monkeypatch):
    from lenskit.data import load_movielens

    # LensKit cannot read a first title with a colon.
    path = place(home, monkeypatch, members_1m(titles={**TITLES, 10: "Heat"}))
    theirs = load_movielens(path)
    ours = load_dataset("ml1m", allow_download=False)
    assert ours.user_ids.tolist() == theirs.users.ids().tolist()
    assert ours.item_ids.tolist() == theirs.items.ids().tolist()


def test_titles_keep_latin1_line_separators(home, monkeypatch):
    titles = {**TITLES, 10: "One\x85Two", 20: "A::B"}
    place(home, monkeypatch, members_1m(titles=titles))
    found = load_dataset("ml1m", allow_download=False).titles
    assert found.tolist() == list(titles.values())


def test_unofficial_archive_of_the_right_shape_is_used_and_labelled(home, monkeypatch):
    members = members_1m() | {"ml-1m/NOTE-CHANGES.txt": b"times are estimates"}
    path = place(home, monkeypatch, members, sha256="0" * 64)
    source = load_dataset("ml1m", allow_download=False).source
    assert source.official is False
    assert sha256(path) in source.notes[0]
    assert "0" * 64 in source.notes[0]
    assert "NOTE-CHANGES.txt" in source.notes[1]


def test_archive_without_known_digest_is_neither(home, monkeypatch):
    path = place(home, monkeypatch, members_1m(), sha256=None)
    source = load_dataset("ml1m", allow_download=False).source
    assert (source.official, source.sha256, source.notes) == (None, sha256(path), ())


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Shape(users=3), "2 users (expected 3)"),
        (Shape(ratings=1_000_209), "5 ratings (expected 1,000,209)"),
        (Shape(items=5, rated_items=4), "4 items (expected 5), 3 rated items (expected 4)"),
    ],
)
def test_wrong_shape_is_refused_every_time(home, monkeypatch, shape, words):
    place(home, monkeypatch, members_1m(), shape=shape)
    for _ in range(2):
        with pytest.raises(DataError, match="not MovieLens 1M") as caught:
            load_dataset("ml1m", allow_download=False)
        assert words in caught.value.message


def test_a_shape_accepted_once_does_not_bless_another(home, monkeypatch):
    place(home, monkeypatch, members_1m())
    load_dataset("ml1m", allow_download=False)
    expect(monkeypatch, "ml1m", shape=Shape(users=3))
    with pytest.raises(DataError, match="not MovieLens 1M"):
        load_dataset("ml1m", allow_download=False)


@pytest.mark.parametrize("name", FORMATS)
def test_unpacked_folder_is_read_and_never_called_official(home, monkeypatch, name):
    entry = expect(monkeypatch, name)
    for member, data in FORMATS[name]().items():
        path = home / "named" / member
        path.parent.mkdir(parents=True, exist_ok=True)
        if data:
            path.write_bytes(data)
    ratings = load_dataset(name, allow_download=False)
    assert len(ratings.values) == 5
    assert ratings.source.official is False
    assert ratings.source.origin == entry.archive.folder
    assert "unpacked" in ratings.source.notes[0]


def link(name, target=b"/etc/passwd"):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target


def device(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFCHR | 0o666) << 16
    return info, b""


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (("../evil", b"x"), "outside"),
        (("ml-1m/../../evil", b"x"), "outside"),
        (("/etc/evil", b"x"), "absolute"),
        (("C:/evil", b"x"), "drive letter"),
        (("ml-1m\\..\\evil", b"x"), "backslash"),
        (("ml-1m/a\nb", b"x"), "unprintable"),
        (link("ml-1m/README"), "link or a device"),
        (device("ml-1m/null"), "link or a device"),
        (("ml-1m/zeros", bytes(4 << 20)), "times its size"),
    ],
)
def test_hostile_member_is_refused(home, monkeypatch, member, words):
    place(home, monkeypatch, [*members_1m().items(), member])
    with pytest.raises(DataError, match=words):
        load_dataset("ml1m", allow_download=False)
    assert not list(home.rglob("evil"))


def test_total_size_and_count_are_limited(home, monkeypatch):
    place(home, monkeypatch, members_1m())
    monkeypatch.setattr(archive_module, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="would unpack to"):
        load_dataset("ml1m", allow_download=False)
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 2)
    with pytest.raises(DataError, match="4 members"):
        load_dataset("ml1m", allow_download=False)


def test_member_name_twice_is_refused(home, monkeypatch):
    with pytest.warns(UserWarning, match="Duplicate name"):
        place(
            home,
            monkeypatch,
            [*members_1m().items(), ("ml-1m/ratings.dat", b"1::1::1::1\n")],
        )
    with pytest.raises(DataError, match="twice"):
        load_dataset("ml1m", allow_download=False)


@pytest.mark.parametrize("absent", ["ml-1m/ratings.dat", "ml-1m/movies.dat"])
def test_missing_member_is_named(home, monkeypatch, absent):
    members = members_1m()
    del members[absent]
    place(home, monkeypatch, members)
    with pytest.raises(DataError, match=f"{absent} is not in it"):
        load_dataset("ml1m", allow_download=False)


def test_archive_of_another_data_set_is_refused(home, monkeypatch):
    place(home, monkeypatch, members_latest())
    with pytest.raises(DataError, match=r"ml-1m/ratings\.dat is not in it"):
        load_dataset("ml1m", allow_download=False)


def test_archive_without_its_folder_first_is_refused(home, monkeypatch):
    members = members_1m()
    del members["ml-1m/"]
    place(home, monkeypatch, members)
    with pytest.raises(DataError, match="begins with"):
        load_dataset("ml1m", allow_download=False)


def test_not_a_zip_file(home, monkeypatch):
    path = place(home, monkeypatch, members_1m())
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="cannot be read as a zip file"):
        load_dataset("ml1m", allow_download=False)


def test_truncated_zip_file(home, monkeypatch):
    path = place(home, monkeypatch, members_1m())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset("ml1m", allow_download=False)


@pytest.mark.parametrize("member", ["ml-1m/ratings.dat", "ml-1m/movies.dat"])
def test_flipped_byte_inside_a_member(home, monkeypatch, member):
    path = place(home, monkeypatch, members_1m())
    with zipfile.ZipFile(path) as file:
        at = file.getinfo(member).header_offset + 30 + len(member)
    data = bytearray(path.read_bytes())
    for i in range(at, at + 8):
        data[i] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset("ml1m", allow_download=False)


def changed(position, row):
    rows = list(ROWS)
    rows[position] = row
    return tuple(rows)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (changed(2, (3, 10, "nan", 1)), r"ratings\.dat, line 3: the rating is nan"),
        (changed(3, (7, 40, "inf", 1)), r"ratings\.dat, line 4: the rating is inf"),
        (changed(1, (3, 20, 6, 1)), r"line 2: the rating is 6, expected 1 to 5"),
        (changed(4, (7, 10, 2, 1)), r"line 5: user 7, item 10 was already rated in .*line 1"),
        (changed(0, (7, 10, "four", 1)), "cannot be read"),
        (changed(0, ("x", 10, 4, 1)), "cannot be read"),
        ((), "cannot be read|no ratings"),
    ],
)
def test_bad_rating_is_named(home, monkeypatch, rows, words):
    members = members_1m() | {
        "ml-1m/ratings.dat": "".join(f"{u}::{i}::{r}::{t}\n" for u, i, r, t in rows).encode()
    }
    place(home, monkeypatch, members)
    with pytest.raises(DataError, match=words):
        load_dataset("ml1m", allow_download=False)


def test_line_numbers_of_a_csv_count_its_header(home, monkeypatch):
    place(home, monkeypatch, members_latest(changed(1, (3, 20, 6, 1))), "ml-latest-small")
    with pytest.raises(DataError, match=r"ratings\.csv, line 3: the rating is 6"):
        load_dataset("ml-latest-small", allow_download=False)


@pytest.mark.parametrize(
    "movies",
    [b"ten::Heat::Drama\n", b"10::Heat::Drama\n10::Heat::Drama\n", b"99999999999999999999::A::B\n"],
)
def test_bad_list_of_movies(home, monkeypatch, movies):
    place(home, monkeypatch, members_1m() | {"ml-1m/movies.dat": movies}, shape=SHAPE)
    with pytest.raises(DataError, match=r"movies\.dat|an item occurs twice"):
        load_dataset("ml1m", allow_download=False)


def test_movie_list_that_is_not_utf8(home, monkeypatch):
    members = members_latest() | {"ml-latest-small/movies.csv": b"movieId,title\n10,\xff\xfe\n"}
    place(home, monkeypatch, members, "ml-latest-small")
    with pytest.raises(DataError, match=r"movies\.csv cannot be read"):
        load_dataset("ml-latest-small", allow_download=False)
