"""Equal configurations through LensKit's tuner and through ours, on the same split.

Both train the same ALS BiasedMF configurations for the same number of epochs from the same initial
factors, on the same cores. Printed: the largest difference in RMSE per epoch, and both wall times.

    python -m benchmarks.bench_lenskit_tuner --data ml1m --configs 12 --epochs 5
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.sparse import csr_array

from recsearch.identity import derive_seed
from recsearch.tuning.cluster import QUIET, quieten

RESULTS = Path(__file__).parent / "results"
SEED = 42
TOLERANCE = 1e-4


def configurations(count: int, largest: int) -> list[dict[str, Any]]:
    """``count`` points of the March 2025 space, sizes up to ``largest``, from a fixed seed."""
    rng = np.random.default_rng(derive_seed(SEED, "bench"))

    def log_uniform(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    return [
        {
            "embedding_size": round(log_uniform(4, largest)),
            "regularization": {"user": log_uniform(1e-5, 1), "item": log_uniform(1e-5, 1)},
            "damping": {"user": log_uniform(1e-12, 100), "item": log_uniform(1e-12, 100)},
        }
        for _ in range(count)
    ]


def run_lenskit(split: Any, configs: Sequence[dict[str, Any]], epochs: int) -> dict[int, Any]:
    """Curves by configuration number from LensKit's own tuner."""
    import lenskit.tuning._search as tuner_module
    import ray
    import ray.tune
    from lenskit.data import ItemList, ItemListCollection, UserIDKey
    from lenskit.pipeline import topn_pipeline
    from lenskit.training import TrainingOptions
    from lenskit.tuning import PipelineTuner, TuningSpec

    from recsearch.data.lenskit import dataset

    original = tuner_module.IterativeEval

    class SameStart(original):  # type: ignore[misc, valid-type]
        """LensKit's trial with the initial factors that ours has."""

        def setup(self, config: dict[str, Any], job: Any) -> None:
            config.pop("number")
            super().setup(config, job)
            options = TrainingOptions(rng=derive_seed(SEED, "init"))
            self.trainer = self.scorer.create_trainer(self.data.train, options)

    class Points(PipelineTuner):
        """LensKit's tuner over given points instead of sampled ones."""

        def search_space(self) -> dict[str, Any]:
            return {"number": ray.tune.grid_search(list(range(len(configs))))}

    class Numbered(SameStart):
        def setup(self, config: dict[str, Any], job: Any) -> None:
            super().setup({**configs[config["number"]], "number": 0}, job)

    from lenskit.als import BiasedMFScorer

    pipeline = topn_pipeline(
        BiasedMFScorer(user_embeddings="prefer"), predicts_ratings=True, name="als"
    )
    spec = TuningSpec.model_validate(
        {
            "search": {
                "method": "random",
                "max_points": 1,
                "default_points": 1,
                "metric": "RMSE",
                "max_epochs": epochs - 1,
                "min_epochs": 10_000,
            },
            "space": {"scorer": {}},
            "pipeline": pipeline.config.model_dump(mode="json"),
        }
    )
    test = ItemListCollection(UserIDKey)
    for row, user in enumerate(split.eval_users):
        begin, end = split.heldout.indptr[row : row + 2]
        items = ItemList(
            item_ids=split.item_ids[split.heldout.items[begin:end]],
            rating=split.heldout.values[begin:end],
        )
        test.add(items, user_id=split.user_ids[user])
    tuner_module.IterativeEval = Numbered
    with tempfile.TemporaryDirectory() as folder:
        tuner = Points(spec, Path(folder))
        tuner.set_data(dataset(split), test, name="bench")
        results = tuner.run()
        curves = {}
        for result in results:
            frame = result.metrics_dataframe
            rows = frame[frame["RMSE"].notna()] if "RMSE" in frame else frame
            curves[result.config["number"]] = rows["RMSE"].tolist()
    tuner_module.IterativeEval = original
    ray.shutdown()
    return curves


def run_ours(data: str, configs: Sequence[dict[str, Any]], epochs: int) -> dict[int, Any]:
    """Curves by configuration number from our search, in an empty store."""
    import recsearch.tuning.driver as driver
    from recsearch.display import SilentDisplay
    from recsearch.request import Request, resolve_request
    from recsearch.spec import load_search
    from recsearch.suggest import Suggestion

    class Given:
        total = len(configs)

        def suggest(self, number: int, observed: Any, pending: Any) -> Suggestion:
            return Suggestion(flatten(configs[number - 1]), "given")

    spec = load_search(
        "als",
        overrides={
            "search.trials": len(configs),
            "search.max_epochs": epochs,
            "search.scheduler": "none",
            "search.stop": {"rule": "none"},
            "search.lag": len(configs),
        },
    )
    make = driver.make_suggester
    driver.make_suggester = lambda *arguments: Given()
    try:
        with tempfile.TemporaryDirectory() as folder:
            request = Request(spec, data, Path(folder) / "run", f"{folder}/store", seed=SEED)
            outcome = driver.run_search(resolve_request(request), SilentDisplay())
    finally:
        driver.make_suggester = make
    return {n - 1: trial.history("RMSE") for n, trial in outcome.record.trials.items()}


def run_float64(split: Any, config: dict[str, Any], epochs: int) -> list[float]:
    """The curve in float64 from the same initial factors: who is right where the two differ.

    The normal equations of every row, solved by numpy, and nothing clever.
    """
    from recsearch.evaluation import evaluate
    from recsearch.models import resolve

    family = resolve("als")
    complete = family.complete({**config, "user_embeddings": "prefer"})
    state = family.create(complete, split, derive_seed(SEED, "init")).state()
    biases = state["biases"].tensors
    offset, item_bias = float(biases["global"][0]), biases["item_bias"].astype(float)
    user_bias, Q = biases["user_bias"].astype(float), state["model"].tensors["item_embeddings"]
    users = np.repeat(np.arange(split.n_users), np.diff(split.train.indptr))
    residuals = split.train.values - offset - item_bias[split.train.items] - user_bias[users]
    matrix = csr_array((residuals, (users, split.train.items)), (split.n_users, split.n_items))
    curve, items = [], Q.astype(float)
    for _ in range(epochs):
        P = solve_rows(matrix, items, config["regularization"]["user"])
        items = solve_rows(matrix.T.tocsr(), P, config["regularization"]["item"])

        def scores(rows: Any, columns: Any = None, P: Any = P, items: Any = items) -> Any:
            block = offset + user_bias[rows][:, None] + item_bias + P[rows] @ items.T
            return block if columns is None else block[:, columns]

        curve.append(evaluate(scores, split, ["RMSE"])["RMSE"])
    return curve


def solve_rows(matrix: Any, other: np.ndarray, reg: float) -> np.ndarray:
    """One half-epoch of weighted-lambda ALS (Zhou et al. 2008) in float64."""
    found = np.zeros((matrix.shape[0], other.shape[1]))
    for row in range(matrix.shape[0]):
        begin, end = matrix.indptr[row : row + 2]
        if begin < end:
            M = other[matrix.indices[begin:end]]
            A = M.T @ M + reg * (end - begin) * np.eye(M.shape[1])
            found[row] = np.linalg.solve(A, M.T @ matrix.data[begin:end])
    return found


def flatten(config: dict[str, Any]) -> dict[str, Any]:
    """Nested configuration to dotted parameter names."""
    return {
        f"{key}.{inner}" if isinstance(value, dict) else key: found
        for key, value in config.items()
        for inner, found in (value.items() if isinstance(value, dict) else [("", value)])
    }


@click.command()
@click.option("--data", default="ml1m", show_default=True)
@click.option("--configs", default=12, show_default=True)
@click.option("--epochs", default=5, show_default=True)
@click.option("--largest", default=256, show_default=True, help="Largest embedding size.")
def main(data: str, configs: int, epochs: int, largest: int) -> None:
    """Run both and compare."""
    quieten()
    from recsearch.data import load_dataset, load_split

    points = configurations(configs, largest)
    split = load_split(load_dataset(data))
    began = time.perf_counter()
    ours = run_ours(data, points, epochs)
    between = time.perf_counter()
    for name in QUIET:
        os.environ.pop(name, None)
    theirs = run_lenskit(split, points, epochs)
    ended = time.perf_counter()
    differences = [
        float(np.max(np.abs(np.array(ours[n][:epochs]) - np.array(theirs[n][:epochs]))))
        for n in range(configs)
    ]
    print("trial  size  reg user  reg item   epochs  last RMSE ours   LensKit  max diff")
    for n, point in enumerate(points):
        reg = point["regularization"]
        print(
            f"{n + 1:>5} {point['embedding_size']:>5} {reg['user']:>9.1e} {reg['item']:>9.1e} "
            f"{len(ours[n]):>4}/{len(theirs[n]):<3} {ours[n][-1]:>15.6f} {theirs[n][-1]:>9.6f} "
            f"{differences[n]:>9.1e}"
        )
    references = {}
    for n in (n for n in range(configs) if differences[n] > TOLERANCE):
        exact = np.array(run_float64(split, points[n], epochs))
        references[n + 1] = {
            "ours": float(np.max(np.abs(np.array(ours[n][:epochs]) - exact))),
            "lenskit": float(np.max(np.abs(np.array(theirs[n][:epochs]) - exact))),
        }
        print(
            f"trial {n + 1} differs by more than {TOLERANCE:g}; from float64: "
            f"ours {references[n + 1]['ours']:.1e}, LensKit {references[n + 1]['lenskit']:.1e}"
        )
    result = {
        "data": data,
        "configs": configs,
        "epochs": epochs,
        "largest": largest,
        "max_rmse_difference": max(differences),
        "within_tolerance": sum(d <= TOLERANCE for d in differences),
        "from_float64": references,
        "ours_s": between - began,
        "lenskit_s": ended - between,
        "ratio": (ended - between) / (between - began),
        "cores": os.cpu_count(),
        "machine": platform.processor() or platform.machine(),
    }
    print(
        f"wall time: ours {result['ours_s']:.1f} s, LensKit {result['lenskit_s']:.1f} s, "
        f"ratio {result['ratio']:.1f}; largest RMSE difference {max(differences):.1e}"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "lenskit_tuner.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
