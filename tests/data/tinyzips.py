"""Tiny archives in the formats of MovieLens, made by hand so that their contents are known."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

from recsearch.data.catalogue import DATASETS, Entry, Shape

ROWS = (  # user, item, rating, time
    (7, 10, 4, 978300760),
    (3, 20, 5, 978302109),
    (3, 10, 1, 978301968),
    (7, 40, 3, 978300275),
    (3, 40, 2, 978824291),
)
TITLES = {10: "Héat: Part Two (1995)", 20: "Toy, Story", 30: "Never Rated", 40: "Four"}
SHAPE = Shape(users=2, ratings=5, items=4, rated_items=3)


def members_1m(rows=ROWS, titles=TITLES):
    ratings = "".join(f"{u}::{i}::{r}::{t}\n" for u, i, r, t in rows)
    movies = "".join(f"{i}::{name}::Drama|War\n" for i, name in titles.items())
    users = "".join(f"{u}::F::25::10::48067\n" for u in sorted({row[0] for row in rows}))
    return {
        "ml-1m/": b"",
        "ml-1m/movies.dat": movies.encode("latin-1"),
        "ml-1m/ratings.dat": ratings.encode(),
        "ml-1m/users.dat": users.encode(),
    }


def members_100k(rows=ROWS, titles=TITLES):
    ratings = "".join(f"{u}\t{i}\t{r}\t{t}\n" for u, i, r, t in rows)
    movies = "".join(f"{i}|{name}|01-Jan-1995||http://imdb|0|1\n" for i, name in titles.items())
    return {
        "ml-100k/": b"",
        "ml-100k/u.data": ratings.encode(),
        "ml-100k/u.item": movies.encode("latin-1"),
    }


def members_latest(rows=ROWS, titles=TITLES):
    ratings = "".join(f"{u},{i},{r}.0,{t}\n" for u, i, r, t in rows)
    movies = "".join(f'{i},"{name}",Drama\n' for i, name in titles.items())
    return {
        "ml-latest-small/": b"",
        "ml-latest-small/ratings.csv": b"userId,movieId,rating,timestamp\n" + ratings.encode(),
        "ml-latest-small/movies.csv": b"movieId,title,genres\n" + movies.encode(),
    }


FORMATS = {"ml1m": members_1m, "ml100k": members_100k, "ml-latest-small": members_latest}


def write_zip(path: Path, members) -> Path:
    """Members are (name or ZipInfo, bytes) pairs or a dict of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = members.items() if isinstance(members, dict) else members
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in pairs:
            file.writestr(name, data)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def expect(monkeypatch, name: str, *, shape: Shape = SHAPE, **archive) -> Entry:
    """Make the catalogue expect a tiny archive: its shape, and its url or sha256 if given."""
    entry = DATASETS[name]
    changed = replace(entry, shape=shape, archive=replace(entry.archive, **archive))
    monkeypatch.setitem(DATASETS, name, changed)
    return changed
