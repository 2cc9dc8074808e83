"""``python -m recsearch``."""

from __future__ import annotations

from recsearch.cli import main

main()
