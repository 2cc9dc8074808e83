"""Passwords of addresses: none is left, and what is left still says which place is meant."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import URL, make_url

from recsearch.urls import command_line, public_url, without_options, without_secrets

CASES = {
    "postgresql://bob:hunter2@h/db": "postgresql://bob@h/db",
    "mlflow:postgresql+psycopg://bob:hunter2@h:5432/db": "mlflow:postgresql+psycopg://bob@h:5432/db",
    "mysql://u:12/hunter2@h/d": "mysql://u@h/d",
    "mysql://u:my hunter2@h/d": "mysql://u@h/d",
    "mysql://u:hunter2@hunter2@h/d:study@1": "mysql://u@h/d:study@1",
    "mysql://:hunter2@h/d": "mysql://h/d",
    "s3://key:hunter2@bucket/store": "s3://bucket/store",
    "s3://bucket/store?region=eu&secret_access_key=hunter2": "s3://bucket/store?region=eu",
    "s3://bucket?endpoint=http://a:hunter2@h:9000": "s3://bucket?endpoint=http://h:9000",
    "https://hunter2@host/path": "https://host/path",
    "az://c/p?sv=1&sig=hunter2&se=2": "az://c/p?sv=1&se=2",
    "postgresql://h/db?password=hunter2": "postgresql://h/db",
    "postgresql://h/db?user=u&PASSWORD=hunter2#x": "postgresql://h/db?user=u",
    "failed (see https://u:hunter2@h/x) at once": "failed (see https://h/x) at once",
    "no http://h:1/x, no https://u:hunter2@h": "no http://h:1/x, no https://h",
    "sftp://bob:hunter2@h:22/p": "sftp://bob@h:22/p",
}

HARMLESS = [
    "", "journal.log:study@home", "runs/als", "C://x", "http://localhost:5000/a@b",
    "sqlite:////tmp/a b.db?mode=ro", "abfs://container@account/path", "sftp://bob@h/p",
    "s3://bucket/a:b@c", "--set=space.x.max=4", "postgresql://h:5432/db:study",
    "http://h:5000/x is down; write to a@b",
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), CASES.items())
def test_what_is_left(text: str, wanted: str) -> None:
    assert without_secrets(text) == wanted
    assert without_secrets(wanted) == wanted


@pytest.mark.parametrize("text", HARMLESS)
def test_what_has_no_secret_stays_as_it_is(text: str) -> None:
    assert without_secrets(text) == text


@given(
    password=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=8),
    host=st.sampled_from(["h", "db.example.org"]),
    port=st.none() | st.integers(1, 65535),
)
def test_no_password_that_sqlalchemy_writes_is_left(
    password: str, host: str, port: int | None
) -> None:
    url = URL.create("postgresql", "bob", password, host, port, "db")
    left = make_url(without_secrets(url.render_as_string(hide_password=False)))
    assert left == URL.create("postgresql", "bob", None, host, port, "db")


def test_a_public_url_has_neither_user_nor_query() -> None:
    assert public_url("s3://key:secret@bucket/store?token=1") == "s3://bucket/store"
    assert public_url("sftp://bob@h/p?x=1") == "sftp://h/p"
    assert public_url("store") == "store"


def test_a_command_is_quoted_and_has_no_secret() -> None:
    words = ["recsearch", "search", "a b", "--prior", "mysql://u:my pw@h/d"]
    assert command_line(words) == "recsearch search 'a b' --prior mysql://u@h/d"


def test_options_are_left_out_with_their_values() -> None:
    command = shlex.join(["r", "--track", "a b", "x y", "--track=c", "--tracks", "d", "--track"])
    assert without_options(command, {"--track"}) == "r 'x y' --tracks d"
