"""The file names of a run.

::

    runs/als-ml1m/
      run.json            identity, written once
      journal.ndjson      append-only record
      trials/0007/        out.log, err.log
      best-config.json    rewritten atomically at each improvement
      best-result.json
      gains.json          the best against default and baseline, user by user; can be deleted
      verification.json   what recsearch verify found
      pareto.json         of a search with several objectives, and best-config-METRIC.json
      data-profile.json   what is in the data set, for pages; derived
      comparisons/        results of `recsearch compare`, for pages; derived
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunPaths:
    """The only place that knows the file names of a run."""

    root: Path

    @property
    def identity(self) -> Path:
        """Written once, when the run begins."""
        return self.root / "run.json"

    @property
    def journal(self) -> Path:
        """The append-only record."""
        return self.root / "journal.ndjson"

    @property
    def lock(self) -> Path:
        """Held by the process at work; beside the folder, which may be moved aside."""
        root = self.root.resolve()
        return root.with_name(f".{root.name}.lock")

    @property
    def best_config(self) -> Path:
        """The best configuration; enough to retrain it."""
        return self.root / "best-config.json"

    @property
    def best_result(self) -> Path:
        """The result of the best epoch."""
        return self.root / "best-result.json"

    @property
    def front(self) -> Path:
        """The Pareto front of a search with several objectives."""
        return self.root / "pareto.json"

    @property
    def gains(self) -> Path:
        """How the best compares with default configuration and baseline, user by user."""
        return self.root / "gains.json"

    @property
    def verification(self) -> Path:
        """What ``recsearch verify`` found, by configuration."""
        return self.root / "verification.json"

    @property
    def data_profile(self) -> Path:
        """What is in the data set and in the parts that the search reads; derived."""
        return self.root / "data-profile.json"

    @property
    def comparisons(self) -> Path:
        """The folder of comparisons with other runs; derived."""
        return self.root / "comparisons"

    def best_config_by(self, metric: str) -> Path:
        """The configuration that is best by one of several objectives."""
        return self.root / f"best-config-{metric}.json"

    def trial(self, number: int) -> Path:
        """The folder with the logs of one trial."""
        return self.root / "trials" / f"{number:04d}"
