"""The documentation cannot drift from the commands."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from recsearch.cli import cli

ROOT = Path(__file__).resolve().parent.parent
CLI_PAGE = ROOT / "docs" / "cli.md"
HEAD = """# Commands

Written by `RECSEARCH_WRITE_DOCS=1 python -m pytest tests/test_docs.py`;
a test compares it with `--help`.
"""


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            yield from commands(found, f"{name} {sub}")


def page() -> str:
    blocks = [HEAD]
    for name, command in commands(cli, "recsearch"):
        context = click.Context(
            command, info_name=name, max_content_width=100, terminal_width=100,
            help_option_names=["-h", "--help"],
        )  # fmt: skip
        # click remembers the help option of the first context that a command was ever asked in.
        command._help_option = None
        blocks.append(f"## {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(blocks)


def test_the_page_of_commands_is_what_help_says() -> None:
    if os.environ.get("RECSEARCH_WRITE_DOCS"):
        CLI_PAGE.write_text(page(), encoding="utf-8")
    assert CLI_PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize(
    ("name", "command"), [pytest.param(n, c, id=n) for n, c in commands(cli, "recsearch")]
)
def test_every_command_and_option_has_help(name: str, command: click.Command) -> None:
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def test_links_in_documents_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
        for target in re.findall(r"\]\(([^)#]+?)\)", prose(path.read_text(encoding="utf-8")))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert broken == []


def test_the_tests_against_known_weak_points_exist() -> None:
    text = (ROOT / "docs" / "weak-points.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists()
        or not re.search(rf"^ *def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.M)
    ]
    assert missing == []
    assert {f"B{n}" for n in range(1, 33)} <= set(re.findall(r"^\| (B\d+) \|", text, re.M))


def test_commands_in_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^recsearch (\w+)", text, re.MULTILINE))
    known = {name.split()[1] for name, _ in commands(cli, "recsearch") if " " in name}
    assert named <= known
    assert {"search", "status", "best", "load", "verify", "report", "spaces"} <= named
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"^make (\w[\w-]*)", text, re.MULTILINE)):
        stem = "search-%" if target.startswith("search-") else target
        assert re.search(rf"^{stem}:", makefile, re.MULTILINE), target


if __name__ == "__main__":
    sys.stdout.write(page())
