"""Hyperparameter search for recommender models that never loses an epoch.

>>> import recsearch
>>> pipeline = recsearch.load("runs/als-ml1m")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from recsearch.loading import load


def __getattr__(name: str) -> Any:
    # Imported on use: `recsearch --help` must need neither numpy nor lenskit.
    if name == "load":
        from recsearch.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
