"""What a command or a plan says about a search beside its file, and the request it comes to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from recsearch.data import SplitSpec
from recsearch.data_words import data_overrides, variant_words
from recsearch.evaluation import parse
from recsearch.request import Request
from recsearch.spec import SearchSpec, load_search, parse_override, search_name
from recsearch.spec.schema import Section
from recsearch.tracking import parse_targets

DEFAULT_SEED = 42

NAMED_KEYS = {
    **{
        name: f"search.{name}"
        for name in (
            "trials", "max_epochs", "metric", "method", "scheduler", "retention", "quota",
        )
    },
    "split_seed": "data.split.seed",
}  # fmt: skip
"""Settings that stand for a key of a search file, and that key."""


def _names(value: Any) -> Any:
    """One metric or several, in a string with commas or in a list of such, as a list."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return value
    return [name.strip() for text in texts for name in text.split(",")]


class Settings(Section):
    """What may differ from the search file; nothing where it is None."""

    trials: Annotated[int, Field(ge=1)] | None = None
    """Total number of trials, resumed ones included."""
    max_epochs: Annotated[int, Field(ge=1)] | None = None
    """Epochs per trial at most."""
    metric: Annotated[list[str], BeforeValidator(_names)] = Field(default=[])
    """Objective, such as ``RMSE`` or ``NDCG@10``; several for their Pareto front."""
    method: Literal["tpe", "random", "grid"] | None = None
    """Searcher."""
    scheduler: Literal["asha", "halving", "median", "none"] | None = None
    """Pruning rule."""
    set_: list[str] = Field(default=[], alias="set")
    """Any other key of the search file, each as ``KEY=VALUE``."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Root seed of searcher and initial parameters."""
    split_seed: Annotated[int, Field(ge=0)] | None = None
    """Seed of the split."""
    read: list[str] = Field(default=[])
    """How a file is read, each as ``KEY=VALUE``."""
    prepare: list[str] = Field(default=[])
    """Steps that prepare the ratings, each as ``STEP=VALUE``; they replace those of the file."""
    split: list[str] = Field(default=[])
    """How ratings are split: a method, or ``KEY=VALUE``."""
    folds: Annotated[int, Field(ge=1)] | None = None
    """Number of parts of the split that the search validates on."""
    device: Literal["cpu", "cuda"] | None = None
    """Where models train."""
    retention: str | None = None
    """Which epochs stay in the store."""
    quota: str | None = None
    """What the run's checkpoints may hold."""
    prior: str | None = None
    """Trials of another run or of an Optuna study that the searcher learns from before trial 1."""
    track: list[str] = Field(default=[])
    """Tools that are shown the run: ``tensorboard``, ``wandb[:offline]``, ``mlflow[:URI]``."""

    def overrides(self) -> dict[str, Any]:
        """Values by dotted key of a search file; settings of their own come before ``set``.

        Raises:
            UsageError: a ``set`` that is not ``KEY=VALUE``.
        """
        named = {key: getattr(self, name) for name, key in NAMED_KEYS.items()}
        return {
            **dict(parse_override(text) for text in self.set_),
            **{key: value for key, value in named.items() if value not in (None, [])},
            **data_overrides(self.read, self.prepare, self.split),
        }

    def variant(self) -> list[str]:
        """What makes it another search than the file's own, as words of the run's name."""
        seed = DEFAULT_SEED if self.seed is None else self.seed
        words = (
            *(parse(name).name for name in self.metric),
            self.method,
            self.scheduler,
            self.max_epochs and f"epochs{self.max_epochs}",
            seed != DEFAULT_SEED and f"seed{seed}",
            self.split_seed not in (None, SplitSpec.seed) and f"split{self.split_seed}",
            *variant_words(self.prepare, self.split),
            self.folds not in (None, 1) and f"folds{self.folds}",
            self.device != "cpu" and self.device,
            self.prior is not None and "prior",
        )
        return [word for word in words if word]

    def over(self, others: Settings) -> Settings:
        """These settings, and where they say nothing those of ``others``.

        What they ``set`` comes before what ``others`` say of the same key in any way.
        """
        own = {key for key, _ in map(parse_override, self.set_)}
        hidden = {name for name, key in NAMED_KEYS.items() if key in own}
        both = {k: v for k, v in _given(others).items() if k not in hidden} | _given(self)
        if both.get("set"):
            both["set"] = [*others.set_, *self.set_]
        return Settings.model_validate(both)

    def arguments(self) -> Iterator[str]:
        """The options of ``recsearch search`` that say the same."""
        for key, value in _given(self).items():
            for item in value if isinstance(value, list) else [value]:
                yield from (f"--{key.replace('_', '-')}", str(item))


@dataclass(frozen=True)
class Place:
    """Where a search works, and what it does about what it finds there.

    Attributes:
        store_url: the checkpoint store.
        run_dir: the run folder; None for `run_root`'s.
        workers: trials at a time; None for one per core.
        fresh: whether a run in the folder is moved aside.
        retry_errors: whether trials that ended in an error are run again.
    """

    store_url: str
    run_dir: Path | None = None
    workers: int | None = None
    fresh: bool = False
    retry_errors: bool = False


def build_request(
    search: str, dataset: str, settings: Settings, place: Place, command: str
) -> Request:
    """The request of one search on one data set.

    Args:
        search: name or file of a search.
        dataset: name of a data set.
        settings: what differs from the file.
        place: where it works.
        command: what the user types to resume it.

    Raises:
        UsageError: no such search, or a setting that cannot be, such as a tracker that is not
            installed.
        SpecError: the search file cannot be used.
    """
    return Request(
        spec=load_settings(search, settings),
        dataset=dataset,
        run_root=run_root(search, dataset, settings, place.run_dir),
        store_url=place.store_url,
        seed=DEFAULT_SEED if settings.seed is None else settings.seed,
        workers=place.workers,
        device=settings.device or "cpu",
        folds=settings.folds or 1,
        fresh=place.fresh,
        retry_errors=place.retry_errors,
        command=command,
        prior=settings.prior,
        track=parse_targets(settings.track),
    )


def load_settings(search: str, settings: Settings) -> SearchSpec:
    """The search file with ``settings`` laid over it; errors as for `build_request`."""
    return load_search(search, overrides=settings.overrides())


def whole_grid(search: str, settings: Settings) -> Settings:
    """The settings with as many trials as a grid search has points; others are left as they are.

    A number of trials for many searches is meant for those that could go on for ever; one in
    ``set`` is meant for grids, too. Errors as for `build_request`.
    """
    if any(parse_override(text)[0] == "search.trials" for text in settings.set_):
        return settings.model_copy(update={"trials": None})
    spec = load_settings(search, settings)
    if settings.trials is None or spec.search.method != "grid":
        return settings
    # One more: the default configuration may be no point of the grid.
    return settings.model_copy(update={"trials": len(spec.space.grid()) + 1})


def run_root(search: str, dataset: str, settings: Settings, run_dir: Path | None = None) -> Path:
    """The folder of a run: the one asked for, or ``runs/`` and its name."""
    return run_dir or Path("runs") / run_name(search, dataset, settings.variant())


def run_name(search: str, dataset: str, variant: Sequence[str] = ()) -> str:
    """Folder name of a run: ``als-ml1m``, ``als-csv-ratings``, ``als-ml1m-ndcg10-seed7``.

    A model folder of the LensKit Codex (``als-biased/search.toml``) gives its own name. Options
    that make it another search than the file's own are part of the name, so that variants lie side
    by side.
    """
    kind, _, rest = dataset.partition(":")
    words = [search_name(search), kind, Path(rest).stem if rest else ""]
    words += [re.sub(r"[^a-z0-9-]", "", value.lower()) for value in variant]
    return "-".join(word for word in words if word)


def _given(settings: Settings) -> dict[str, Any]:
    """The settings that say something, by their key in a plan."""
    return settings.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
