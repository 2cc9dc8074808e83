"""Addresses with passwords, and what of them may be recorded or shown.

What a user types as an address can hold a password or a key. It is handed to the library that
opens it, and to nothing else: neither files of a run nor pages nor the terminal repeat it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable

_USER = r"://(?P<user>[^\s:/?#@]*)"
_MORE = r"(?:@[^\s/?#@]*(?=@))*@"
_DATABASE = re.compile(
    # SQLAlchemy takes all up to the @ for the password, slashes and spaces, too.
    rf"(?P<scheme>(?:postgres|mysql|mariadb|oracle|mssql|cockroach|redshift)[\w+.-]*)"
    rf"{_USER}(?::[^@]*)?{_MORE}",
    re.I,
)
_ADDRESS = re.compile(rf"(?P<scheme>[A-Za-z][\w+.-]*){_USER}(?::[^\s/?#@]*)?{_MORE}")
_WITHOUT_USER = frozenset({"http", "https", "s3", "s3a", "gs", "gcs", "az"})
"""Schemes whose user name is a token or a key, or tells nothing."""

_SECRET = re.compile(
    r"(?<=[?&;])[^=&;\s'\"]*(?:pass|pwd|secret|token|key|sig|cred|auth)[^=&;\s'\"]*="
    r"[^&;\s'\"]*&?",
    re.I,
)
_URL = re.compile(r"[A-Za-z][\w+.-]*://\S*")


def without_secrets(text: str) -> str:
    """A text without the passwords and keys of the URLs in it.

    The user name stays where it tells who is asked, so that the address works for whom the password
    is given in another way (``PGPASSWORD``, ``~/.pgpass``).

    >>> without_secrets("mlflow:postgresql://bob:hunter2@h/db?sslmode=require&sslpassword=x")
    'mlflow:postgresql://bob@h/db?sslmode=require'
    >>> without_secrets("s3://key:secret@bucket/store")
    's3://bucket/store'
    """
    for form in (_DATABASE, _ADDRESS):
        text = form.sub(_no_password, text)
    return _URL.sub(lambda found: _no_query_secrets(found[0]), text)


def public_url(url: str) -> str:
    """``url`` without a user name, password or query.

    >>> public_url("s3://key:secret@bucket/store?token=1")
    's3://bucket/store'
    """
    url = re.sub(r"^([a-zA-Z][\w+.-]*://)[^/@]*@", r"\1", without_secrets(url))
    return url.split("?", 1)[0] if "://" in url else url


def command_line(words: Iterable[str]) -> str:
    """A command as it may be shown: quoted for a shell, without the secrets of its words."""
    return shlex.join(without_secrets(word) for word in words)


def without_options(command: str, names: Collection[str]) -> str:
    """A command line without some options and their values.

    >>> without_options("recsearch search als demo --track wandb --track=mlflow", {"--track"})
    'recsearch search als demo'
    """
    found, words = list[str](), iter(shlex.split(command))
    for word in words:
        if word in names:
            next(words, None)
        elif word.partition("=")[0] not in names:
            found.append(word)
    return shlex.join(found)


def _no_password(found: re.Match[str]) -> str:
    scheme, user = found["scheme"], found["user"]
    kept = "" if scheme.lower() in _WITHOUT_USER or not user else f"{user}@"
    return f"{scheme}://{kept}"


def _no_query_secrets(url: str) -> str:
    shorter = _SECRET.sub("", url)
    return url if shorter == url else shorter.rstrip("?&;")
