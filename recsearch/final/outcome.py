"""``final.json``, what `recsearch final` found out: read by pages, so without models or data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsearch.errors import RecsearchError
from recsearch.evaluation import parse

FORMAT = 1


@dataclass(frozen=True)
class Spread:
    """A metric over test parts and seeds.

    Attributes:
        mean: over all of them.
        std_parts: sample standard deviation over parts of the means over seeds; None for one part.
        std_seeds: over seeds of the means over parts; None for one seed.
        n: number of models.
    """

    mean: float | None
    std_parts: float | None
    std_seeds: float | None
    n: int


@dataclass(frozen=True)
class Final:
    """Everything that `recsearch final` found out, as ``final.json`` has it.

    Attributes:
        path: of ``final.json``.
        document: its content.
    """

    path: Path
    document: dict[str, Any]

    def spread(self, config: str, metric: str) -> Spread:
        """A metric of ``best``, ``default`` or a baseline."""
        return Spread(**self.document["results"][config]["metrics"][metric])

    @property
    def configs(self) -> list[str]:
        """What was measured, the best configuration first."""
        return list(self.document["results"])

    def gain(self, over: str) -> float | None:
        """By how much the best beats ``over`` in the objective, positive for better."""
        name, results = self.document["objective"], self.document["results"]
        if over not in results or name not in results[over]["metrics"]:
            return None
        one, other = self.spread("best", name).mean, self.spread(over, name).mean
        if one is None or other is None:
            return None
        return other - one if parse(name).direction == "min" else one - other


def final_path(root: Path) -> Path:
    """Where the results of a run are."""
    return root / "final" / "final.json"


def read_final(root: Path) -> Final | None:
    """The results of the run in a folder, None where there are none.

    Raises:
        RecsearchError: ``final.json`` is unreadable or of another format.
    """
    path = final_path(root)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']}, not {FORMAT}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise RecsearchError(
            f"{path}: not readable results: {err}.",
            hint=f"Write it anew from what has been measured: recsearch final {root}",
        ) from err
    return Final(path, document)
