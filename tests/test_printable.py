"""Texts of others on a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recsearch.printable import clean, clean_lines

HOSTILE = "no\x1b]0;pwned\x07 such\nfile\x9b2J\u202e"


def test_what_a_terminal_would_take_for_a_command_is_gone() -> None:
    assert clean(HOSTILE) == "no ]0;pwned  such file 2J "
    assert clean_lines(HOSTILE) == "no ]0;pwned  such\nfile 2J "
    assert clean("Zoë · ñ 映画") == "Zoë · ñ 映画"


@given(st.text())
def test_clean_texts_are_printable_and_keep_their_length(text: str) -> None:
    assert clean(text).isprintable()
    assert len(clean(text)) == len(clean_lines(text)) == len(text)
    assert clean_lines(text).split("\n") == [clean(line) for line in text.split("\n")]
