"""LensKit's tuner over given points: ``python -m benchmarks.search.lenskit_given JOB``.

JOB is a JSON file with points and folder, in which lie the files that ``lenskit tune`` takes. The
trials start from the initial factors that ours have; curves by number of the point, from 0, go to
``curves.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.search.configurations import SEED
from benchmarks.search.lenskit_tune import own_cluster


def main(path: Path) -> None:
    """Run the tuner of a job and write its curves."""
    job = json.loads(path.read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    own_cluster()
    tuner = make_tuner(job["points"], folder)
    tuner.set_data(folder / "train", folder / "valid.parquet", name="bench")
    curves = {}
    for result in tuner.run():
        frame = result.metrics_dataframe
        rows = frame[frame["RMSE"].notna()] if "RMSE" in frame else frame
        curves[result.config["number"]] = rows["RMSE"].tolist()
    (folder / "curves.json").write_text(json.dumps(curves), encoding="utf-8")


def make_tuner(points: list[dict[str, Any]], folder: Path) -> Any:
    """LensKit's tuner, except that points and initial factors are given."""
    import lenskit.tuning._search as tuner_module
    import ray.tune
    from lenskit.tuning import PipelineTuner, TuningSpec

    from recsearch.identity import derive_seed

    original = tuner_module.IterativeEval
    seed = derive_seed(SEED, "init")

    class Numbered(original):  # type: ignore[misc, valid-type]
        """LensKit's trial of one given point, with the initial factors that ours has."""

        def setup(self, config: dict[str, Any], job: Any) -> None:
            import lenskit.tuning._iterative as trial_module

            trial_module.make_seed = lambda *_: seed
            super().setup(points[config["number"]], job)

    class Points(PipelineTuner):
        """LensKit's tuner over given points instead of sampled ones."""

        def search_space(self) -> dict[str, Any]:
            return {"number": ray.tune.grid_search(list(range(len(points))))}

    tuner_module.IterativeEval = Numbered
    return Points(TuningSpec.load(folder / "search.json"), folder / "out")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
