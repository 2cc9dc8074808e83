"""Our search over given points: ``python -m benchmarks.search.given JOB``.

JOB is a JSON file with data, points, epochs and folder. Only the suggester is replaced; the journal
below ``folder`` has the results.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.search.configurations import SEED, flatten
from recsearch.suggest import Suggestion
from recsearch.tuning.cluster import quieten


class Given:
    """Suggests the points of a list in their order."""

    def __init__(self, points: list[dict[str, Any]]):
        self.total = len(points)
        self._points = points

    def suggest(self, number: int, observed: Any, pending: Any) -> Suggestion:
        """Point ``number``, from 1."""
        return Suggestion(flatten(self._points[number - 1]), "given")


def main(path: Path) -> int:
    """Run the search of a job; its exit code."""
    job = json.loads(path.read_text(encoding="utf-8"))
    quieten()
    import recsearch.tuning.driver as driver
    from recsearch.display import SilentDisplay
    from recsearch.request import Request, resolve_request
    from recsearch.spec import load_search

    points, folder = job["points"], Path(job["folder"])
    driver.make_suggester = lambda *arguments: Given(points)
    settings = {
        "search.trials": len(points),
        "search.max_epochs": job["epochs"],
        "search.scheduler": "none",
        "search.stop": {"rule": "none"},
        "search.lag": len(points),
    }
    spec = load_search("als", overrides=settings)
    request = Request(spec, job["data"], folder / "run", str(folder / "store"), seed=SEED)
    return driver.run_search(resolve_request(request), SilentDisplay()).exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
