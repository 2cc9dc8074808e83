from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Helpers of the tests are plain modules beside them.
sys.path.insert(0, str(Path(__file__).parent))

SLOW = ("tuning", "tracking", "final")
"""Folders whose tests wait for processes; begun first, the others fill the gaps at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return SLOW.index(folder) if folder in SLOW else len(SLOW)

    items.sort(key=rank)
