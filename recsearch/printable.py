"""Texts of others, such as errors and notes of a run, as a terminal may have them."""

from __future__ import annotations


def clean(text: str) -> str:
    """``text`` in one line, without what a terminal would take for a command."""
    return "".join(each if each.isprintable() else " " for each in text)


def clean_lines(text: str) -> str:
    """``text`` in the lines that it has, without what a terminal would take for a command."""
    return "\n".join(map(clean, text.split("\n")))
