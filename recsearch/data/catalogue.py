"""The data sets known by name: where they are published and what they must look like."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from recsearch.data.splits import SplitSpec
from recsearch.errors import UsageError

GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
HETREC = "https://files.grouplens.org/datasets/hetrec2011/"
FILE_KINDS = ("csv", "parquet", "amazon", "steam")
"""What a file of the user's may be, as written before its path and a colon."""


@dataclass(frozen=True)
class Shape:
    """How many of everything a data set has; None where it is not checked."""

    users: int | None = None
    ratings: int | None = None
    items: int | None = None
    rated_items: int | None = None


@dataclass(frozen=True)
class Archive:
    """A published zip file.

    Attributes:
        file: Its file name.
        folder: The one folder inside it; empty where the members lie at its top.
        url: Where it is published.
        sha256: The official digest, or None where none is known.
        ratings: Member with the ratings.
        movies: Member with item ids and titles.
        encoding: Of the member with titles.
    """

    file: str
    folder: str
    url: str
    sha256: str | None
    ratings: str
    movies: str
    encoding: str

    @property
    def members(self) -> tuple[str, str]:
        """The members that are read, by their full names inside the archive."""
        return self.inside(self.ratings), self.inside(self.movies)

    def inside(self, member: str) -> str:
        """The full name of a member inside the archive."""
        return f"{self.folder}/{member}" if self.folder else member


@dataclass(frozen=True)
class Entry:
    """A data set of the catalogue.

    Attributes:
        archive: Where it is published; None for generated ratings.
        limits: Lowest and highest rating of its scale.
        split: How it is split unless a command says otherwise.
        reader: Format of the archive: ``movielens`` or ``lastfm``.
        notes: What a reader of results must know of it.
    """

    name: str
    title: str
    archive: Archive | None
    shape: Shape = Shape()
    limits: tuple[float, float] = (0.5, 5.0)
    split: SplitSpec = field(default_factory=SplitSpec)
    reader: str = "movielens"
    notes: tuple[str, ...] = ()


def _old(
    stem: str, sha256: str | None, folder: str | None = None, code: str = "latin-1"
) -> Archive:
    folder = folder or stem
    url = f"{GROUPLENS}{stem}.zip"
    return Archive(f"{stem}.zip", folder, url, sha256, "ratings.dat", "movies.dat", code)


def _modern(stem: str, sha256: str | None) -> Archive:
    url = f"{GROUPLENS}{stem}.zip"
    return Archive(f"{stem}.zip", stem, url, sha256, "ratings.csv", "movies.csv", "utf-8")


_ENTRIES = (
    Entry(
        "ml100k",
        "MovieLens 100K",
        Archive(
            "ml-100k.zip",
            "ml-100k",
            f"{GROUPLENS}ml-100k.zip",
            "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
            "u.data",
            "u.item",
            "latin-1",
        ),
        Shape(users=943, ratings=100_000, items=1682, rated_items=1682),
        (1.0, 5.0),
    ),
    Entry(
        "ml1m",
        "MovieLens 1M",
        _old("ml-1m", "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"),
        Shape(users=6040, ratings=1_000_209, items=3883, rated_items=3706),
        (1.0, 5.0),
    ),
    Entry(
        "ml10m",
        "MovieLens 10M",
        _old(
            "ml-10m",
            "813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862",
            "ml-10M100K",
            "utf-8",
        ),
        Shape(users=69_878, ratings=10_000_054, items=10_681, rated_items=10_677),
    ),
    Entry(
        "ml20m",
        "MovieLens 20M",
        _modern("ml-20m", "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3"),
        Shape(users=138_493, ratings=20_000_263, items=27_278, rated_items=26_744),
    ),
    Entry(
        "ml25m",
        "MovieLens 25M",
        _modern("ml-25m", "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa"),
        Shape(users=162_541, ratings=25_000_095, items=62_423, rated_items=59_047),
    ),
    Entry(
        "ml32m",
        "MovieLens 32M",
        _modern("ml-32m", None),
        Shape(users=200_948, ratings=32_000_204, items=87_585, rated_items=84_432),
    ),
    Entry(
        "ml-latest-small",
        "MovieLens Latest Small (2018-09)",
        _modern(
            "ml-latest-small", "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436"
        ),
        Shape(users=610, ratings=100_836, items=9742, rated_items=9724),
    ),
    Entry(
        "lastfm",
        "Last.fm 2K (HetRec 2011)",
        Archive(
            "hetrec2011-lastfm-2k.zip",
            "",
            f"{HETREC}hetrec2011-lastfm-2k.zip",
            None,
            "user_artists.dat",
            "artists.dat",
            "utf-8",
        ),
        Shape(users=1892, ratings=92_834, items=17_632, rated_items=17_632),
        (1.0, 1e9),  # counts; the highest published is 352,698
        reader="lastfm",
        notes=("values are listening counts, not ratings",),
    ),
    Entry("demo", "generated ratings (demo)", None, limits=(1.0, 5.0)),
)

DATASETS: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""Name to catalogue entry, smallest names first as ``recsearch data list`` shows them."""


def find_entry(name: str) -> Entry:
    """The entry of a name; spelling variants such as ``ml-1m`` or ``ML_1M`` are understood.

    Raises:
        UsageError: no such data set; names the nearest ones.
    """
    spellings = {_plain(known): known for known in DATASETS}
    known = spellings.get(_plain(name))
    if known is not None:
        return DATASETS[known]
    near = difflib.get_close_matches(_plain(name), spellings, n=3, cutoff=0.4)
    names = [spellings[word] for word in near] or list(DATASETS)
    own = ", ".join(f"{kind}:PATH" for kind in FILE_KINDS)
    raise UsageError(
        f"there is no data set {name!r}; the nearest names are {', '.join(names)} "
        f"(generated: demo:SIZE; files: {own})",
        hint="recsearch data list",
    )


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum()).replace("movielens", "ml")
