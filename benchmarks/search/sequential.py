"""One process, one trial after another: ``python -m benchmarks.search.sequential JOB``.

LensKit's own BiasedMF trainer and its own measuring loop, driven by Optuna. JOB is a JSON file
with strategy, trials, seconds, seed and folder, in which lie the files that ``lenskit tune`` takes.
Every measured epoch becomes a line of ``epochs.ndjson`` at once.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psutil

from benchmarks.search.lenskit_files import METRIC

STRATEGIES = ("optuna", "random")


@dataclass(frozen=True)
class Epoch:
    """One trained and measured epoch: its metric, and seconds of both halves."""

    value: float
    train_s: float
    measure_s: float


class Bench:
    """What trials share: data, and the pipeline without its scorer, trained once."""

    def __init__(self, folder: Path, seed: int):
        from lenskit.data import Dataset, ItemListCollection
        from lenskit.pipeline import PipelineBuilder
        from lenskit.pipeline.components import Placeholder
        from lenskit.tuning import TuningSpec

        self.spec = TuningSpec.load(folder / "search.json")
        self.train = Dataset.load(folder / "train")
        self.test = ItemListCollection.load_parquet(folder / "valid.parquet")
        self._seed = seed
        builder = PipelineBuilder.from_config(self.spec.pipeline)
        self._scorer = builder.node("scorer").constructor
        builder.replace_component("scorer", Placeholder)
        self._around = builder.build()
        self._around.train(self.train)

    def epochs(self, config: Mapping[str, Any]) -> Iterator[Epoch]:
        """Train and measure a configuration epoch by epoch, as LensKit's tuner does."""
        from lenskit.pipeline import PipelineBuilder
        from lenskit.random import make_seed
        from lenskit.training import TrainingOptions
        from lenskit.tuning._measure import measure_pipeline
        from pydantic_core import to_json

        merged = self.spec.pipeline.merge_component_configs({"scorer": dict(config)})
        builder = PipelineBuilder.from_pipeline(self._around)
        builder.replace_component("scorer", self._scorer, merged.components["scorer"].config)
        pipeline = builder.build()
        scorer = pipeline.node("scorer").component
        options = TrainingOptions(rng=make_seed(self._seed, to_json(scorer.dump_config())))
        trainer = scorer.create_trainer(self.train, options)
        for _ in range(self.spec.search.max_epochs):
            began = time.monotonic()
            trainer.train_epoch()
            between = time.monotonic()
            value = float(measure_pipeline(self.spec, pipeline, self.test)[METRIC])
            yield Epoch(value, between - began, time.monotonic() - between)


def main(path: Path) -> None:
    """Run the search of a job."""
    job = json.loads(path.read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    deadline = psutil.Process().create_time() + job["seconds"] if job["seconds"] else None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    bench = Bench(folder, job["seed"])
    study = make_study(job["strategy"], job["seed"])
    with (folder / "epochs.ndjson").open("w", encoding="utf-8") as file:

        def objective(trial: optuna.Trial) -> float:
            config = suggest(trial, bench.spec.space["scorer"])
            values: list[float] = []
            stopper = make_stopper()
            for number, epoch in enumerate(bench.epochs(config), start=1):
                values.append(epoch.value)
                row = {
                    "trial": trial.number + 1,
                    "epoch": number,
                    "time": time.time(),
                    **vars(epoch),
                }
                print(json.dumps(row), file=file, flush=True)
                trial.report(epoch.value, number)
                if deadline is not None and time.time() >= deadline:
                    study.stop()
                    raise optuna.TrialPruned
                if stopper("", {"training_iteration": number, METRIC: epoch.value}):
                    break
                if trial.should_prune():
                    raise optuna.TrialPruned
            return min(values)

        # What LensKit raises where its solver fails ends a trial, not the search.
        study.optimize(objective, n_trials=job["trials"], catch=(Exception,))
    states = [trial.state.name.lower() for trial in study.trials]
    (folder / "states.json").write_text(json.dumps(states), encoding="utf-8")


def make_study(strategy: str, seed: int) -> optuna.Study:
    """TPE with median pruning, or random search without any; both minimise.

    Raises:
        ValueError: another strategy is asked for.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r}: expected one of {', '.join(STRATEGIES)}")
    if strategy == "random":
        sampler: Any = optuna.samplers.RandomSampler(seed=seed)
        pruner: Any = optuna.pruners.NopPruner()
    else:
        sampler = optuna.samplers.TPESampler(seed=seed)
        pruner = optuna.pruners.MedianPruner()
    return optuna.create_study(direction="minimize", sampler=sampler, pruner=pruner)


def make_stopper() -> Any:
    """The plateau rule with which LensKit's tuner ends trials."""
    from lenskit.tuning._stopper import RelativePlateauStopper

    return RelativePlateauStopper(
        metric=METRIC, mode="min", min_improvement=0.005, check_iters=3, grace_period=3
    )


def suggest(trial: optuna.Trial, space: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested configuration of a LensKit search space."""
    found: dict[str, Any] = {}
    for key, domain in space.items():
        name = f"{prefix}{key}"
        if isinstance(domain, Mapping):
            found[key] = suggest(trial, domain, f"{name}.")
        elif domain.type == "int":
            found[key] = trial.suggest_int(
                name, int(domain.min), int(domain.max), log=domain.scale == "log"
            )
        else:
            found[key] = trial.suggest_float(
                name, domain.min, domain.max, log=domain.scale == "log"
            )
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
