"""From a command to what it means: search file, data, split, model family and run identity."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recsearch import __version__
from recsearch.data import Split, SplitSpec, load_dataset, load_split, spec_of_table, table_of
from recsearch.data.profile import data_profile
from recsearch.errors import UsageError
from recsearch.evaluation import EVALUATION_VERSION, default_metrics, parse
from recsearch.files import store_for_run, store_from_run
from recsearch.folds import check_folds, folds_of
from recsearch.models import Family, resolve
from recsearch.priors import load_priors, moved_on, recorded_priors
from recsearch.run import FORMAT, read_identity
from recsearch.run_paths import RunPaths
from recsearch.spec import SearchSpec
from recsearch.studies import measured_on
from recsearch.tracking import Target
from recsearch.urls import without_options, without_secrets

LIBRARIES = ("ray", "lenskit", "torch", "numpy", "scipy", "pandas", "hyperopt")


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    ``folds`` is the number of parts of the split to validate on. The split is that of the search
    file unless another one is given. ``prior`` is where `recsearch.priors` finds trials to learn
    from; None for those that the run in the folder began with, if any. ``track`` are the tools that
    are shown the run, which is no part of what it is.
    """

    spec: SearchSpec
    dataset: str
    run_root: Path
    store_url: str
    seed: int = 42
    workers: int | None = None
    device: str = "cpu"
    split: SplitSpec = field(default_factory=SplitSpec)
    folds: int = 1
    fresh: bool = False
    retry_errors: bool = False
    command: str = ""
    prior: str | None = None
    track: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        if self.split == SplitSpec():
            object.__setattr__(self, "split", self.spec.data.split.spec())


@dataclass(frozen=True)
class Resolved:
    """What the request comes to.

    Attributes:
        request: what was asked for.
        split: what fold 0 trains and validates on.
        family: of the models.
        metrics: what is measured after every epoch.
        identity: what ``run.json`` will hold.
        others: the splits of folds 1 and up.
        profile: what ``data-profile.json`` will hold; None where the run folder has it.
        notes: what the user is to be told of the request.
    """

    request: Request
    split: Split
    family: Family
    metrics: tuple[str, ...]
    identity: dict[str, Any]
    others: tuple[Split, ...] = ()
    profile: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[Split, ...]:
        """The split of every fold."""
        return (self.split, *self.others)


def resolve_request(request: Request) -> Resolved:
    """Load the data and work out the identity of the run.

    Raises:
        SpecError: the search file does not fit its model.
        DataError: the data set cannot be used.
        UsageError: the store is in the memory of one process, or the device is none on which the
            model can train here, or the folds would leave nothing to test on, or there is nothing
            to learn from where `Request.prior` says.
    """
    check_folds(request.folds, request.split)
    if request.store_url.startswith("memory://"):
        raise UsageError(
            f"--store {without_secrets(request.store_url)}: every worker process has a memory of "
            "its own, so a search needs a store that they share.",
            hint="Name a folder, such as --store store.",
        )
    spec = request.spec
    family = resolve(spec.model.class_).on(request.device)
    data = spec.data
    ratings = load_dataset(request.dataset, reading=data.reading(), steps=data.steps())
    split, *others = (load_split(ratings, request.split, part) for part in range(request.folds))
    metrics = measured(family, spec)
    identity = _identity(request, family, split, metrics)
    if others:
        ids = [each.split_id for each in (split, *others)]
        identity["validation"] = {"folds": request.folds, "split_ids": ids}
    priors, notes = _priors(request, identity)
    if priors is not None:
        identity["priors"] = priors
    absent = request.fresh or not RunPaths(request.run_root).data_profile.exists()
    profile = data_profile(ratings, (split, *others)) if absent else None
    return Resolved(request, split, family, metrics, identity, tuple(others), profile, notes)


def _priors(
    request: Request, identity: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """What the searcher learns from before trial 1, and what is to be said of it."""
    found = None if request.fresh else read_identity(RunPaths(request.run_root))
    recorded = None if found is None else found.get("priors")
    if request.prior is None:
        return recorded, ()
    here = measured_on(identity)
    same = recorded_priors(recorded, request.prior)
    if same is None:
        return load_priors(request.spec, request.prior, here), ()
    note = moved_on(same, request.spec, request.prior, here)
    return same, () if note is None else (note,)


def request_of_run(
    root: Path,
    identity: Mapping[str, Any],
    *,
    quota: str | None,
    workers: int | None,
    retry_errors: bool,
    command: str,
    track: tuple[Target, ...] = (),
) -> Request:
    """The request that began a run, as its identity has it, for a command that works on it.

    Args:
        root: the run folder.
        identity: what its ``run.json`` holds.
        quota: what the run may hold in the store now; None for what it had at first.
        workers: trials at a time.
        retry_errors: whether trials that ended in an error are run again.
        command: what resumes this command.
        track: tools that are shown the run.
    """
    search = dict(identity["search"])
    if quota is not None:
        search["search"] = {**search["search"], "quota": quota}
    return Request(
        spec=SearchSpec.from_resolved(search, identity["search_file"]),
        dataset=identity["dataset"]["name"],
        run_root=root,
        store_url=store_from_run(root, identity["store"]),
        seed=identity["seed"],
        workers=workers,
        device=identity.get("device", "cpu"),
        split=spec_of_table(identity["split"]),
        folds=folds_of(identity),
        retry_errors=retry_errors,
        command=command,
        track=track,
    )


def measured(family: Family, spec: SearchSpec) -> tuple[str, ...]:
    """Every metric that is recorded per epoch: the usual ones and those the search names."""
    names = [*default_metrics(family.predicts_ratings)]
    names += [objective.name for objective in spec.objectives]
    names += [parse(name).name for name in spec.search.metrics]
    return tuple(dict.fromkeys(names))


def _identity(
    request: Request, family: Family, split: Split, metrics: tuple[str, ...]
) -> dict[str, Any]:
    resolved = request.spec.resolved()
    if resolved["search"]["cheapest_of"] == 1:
        # Only where it is another: runs that cost plays no part in have none recorded.
        del resolved["search"]["cheapest_of"]
    reading, steps = request.spec.data.reading().table(), request.spec.data.steps()
    return {
        "format": FORMAT,
        "name": request.run_root.resolve().name,
        "search": resolved,
        "search_file": request.spec.source,
        "dataset": {
            **asdict(split.source),
            "dataset_id": split.dataset_id,
            "users": split.n_users,
            "items": split.n_items,
            "ratings": split.n_ratings,
            # Only where there are any: most data sets are taken as they are.
            **({"reading": reading} if reading else {}),
            **({"prepare": [table_of(step) for step in steps]} if steps else {}),
        },
        "split": {
            "split_id": split.split_id,
            **split.method,
            "part": split.part,
            "eval_users": len(split.eval_users),
            "heldout_ratings": len(split.heldout.items),
            "train_ratings": len(split.train.items),
            **({"left_out_ratings": split.left_out} if split.left_out else {}),
        },
        "seed": request.seed,
        # Only where it is another: runs on the CPU have none recorded.
        **({} if request.device == "cpu" else {"device": request.device}),
        "direction": parse(resolved["search"]["metric"]).direction,
        "metrics": list(metrics),
        "code": {
            "model": family.code_version,
            "evaluation": EVALUATION_VERSION,
            **family.versions(),
        },
        "versions": {
            "recsearch": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
        "store": store_for_run(request.run_root, request.store_url),
        # Who is shown the run is no part of what it is.
        "command": without_options(request.command, {"--track"}),
    }
