"""Splits, plans and search files for tests of trials and searches."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from recsearch.data import Interactions, Source, Split
from recsearch.journal import Journal
from recsearch.ledger import Ledger
from recsearch.models import resolve
from recsearch.plan import TrialPlan, trial_key, trial_keys
from recsearch.planner import PlannedTrial
from recsearch.record import Record
from recsearch.request import Request, resolve_request
from recsearch.run import RunView, locked
from recsearch.run_paths import RunPaths
from recsearch.spec import load_search
from recsearch.stopping import NoStop, StopRule
from recsearch.store import Store
from recsearch.store.layout import Layout
from recsearch.trial import run_trial
from recsearch.tuning import driver, session, trials

USERS, ITEMS = 20, 12


def planted_split(part: int = 0) -> Split:
    """Every user has rated items 0 and 1; item 11 is held out; all ratings are 3."""
    return Split(
        source=Source("planted", "planted ratings", "generated", None, None, True),
        dataset_id="d" * 64,
        split_id=f"{5 + part}" * 64,
        method={"method": "by hand"},
        part=part,
        user_ids=np.arange(USERS) + 1,
        item_ids=np.arange(ITEMS) + 100,
        titles=None,
        train=_rows([0, 1]),
        eval_users=np.arange(USERS, dtype=np.int32),
        heldout=_rows([ITEMS - 1]),
    )


def _rows(items: list[int]) -> Interactions:
    return Interactions(
        indptr=np.arange(USERS + 1, dtype=np.int64) * len(items),
        items=np.tile(np.array(items, dtype=np.int32), USERS),
        values=np.full(USERS * len(items), 3, dtype=np.float32),
        times=None,
    )


def plan(
    model: str = "planted:Planted",
    *,
    number: int = 1,
    max_epochs: int = 6,
    stop: StopRule | None = None,
    objective: str = "RMSE",
    retention: str = "best+last",
    run_id: str = "run-a",
    seed: int = 1,
    others: tuple[str, ...] = (),
    **config: Any,
) -> TrialPlan:
    """The plan of one trial on `planted_split`."""
    family = resolve(model)
    complete = family.complete(config)
    metrics = ("RMSE", "RMSE-pooled", "RecipRank") if family.predicts_ratings else ("RecipRank",)
    return TrialPlan(
        number=number,
        config=complete,
        key=trial_key(family, complete, planted_split(), seed, metrics),
        seed=seed,
        max_epochs=max_epochs,
        stop=stop or NoStop(),
        objective=objective,
        metrics=metrics,
        retention=retention,
        recompute=False,
        run_id=run_id,
        others=others,
    )


def planted_folds(count: int = 3) -> tuple[Split, ...]:
    """Splits of as many folds; to the planted models they differ by number alone."""
    return tuple(planted_split(part) for part in range(count))


def fold_plan(folds: int = 3, **settings: Any) -> TrialPlan:
    """The plan of one trial on `planted_folds`; a single fold has none beside its key."""
    what = plan("planted:PlantedFolds", **settings)
    if folds == 1:
        return what
    family = resolve("planted:PlantedFolds")
    keys = trial_keys(family, what.config, planted_folds(folds), what.seed, what.metrics)
    return replace(what, key=keys[0], keys=keys)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 0x10
    path.chmod(0o644)
    path.write_bytes(data)


def damage(store: Store, key: str, epoch: int, what: str) -> None:
    """Flip one byte of a checkpoint: of its manifest, of its own array, or of a shared one."""
    manifest, root = store.read(key, epoch), Path(store.url)
    if what == "manifest":
        flip(root / manifest.ref, 100)
        return
    part, tensor = {"weights": ("model", "weights"), "ids": ("vocabulary", "user_ids")}[what]
    place = manifest.parts[part].tensors[tensor].blocks[0][0]
    flip(root / Layout.pack(place.pack), place.offset + 3)


def write_search(path: Path, model: str = "planted:Planted", **search: Any) -> Path:
    """A search file over the planted model's level."""
    settings = {"metric": "RMSE", "method": "random", "trials": 5, "max_epochs": 6,
                "scheduler": "none", "lag": 2, **search}  # fmt: skip
    lines = [f"{key} = {_toml(value)}" for key, value in settings.items()]
    path.write_text(
        'title = "Planted"\n'
        f'[model]\nclass = "{model}"\n'
        "[search]\n" + "\n".join(lines) + "\n"
        "[space]\n"
        'level = { type = "float", min = 0.5, max = 2.0 }\n',
        encoding="utf-8",
    )
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_toml(item)}" for key, item in value.items())
        return f"{{ {inner} }}"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def search_without_ray(root: Path, dataset: str = "demo", search: str = "als", folds: int = 1,
                       **overrides: Any) -> RunView:  # fmt: skip
    """A whole search in this process, one trial after the other: same run folder, no Ray."""
    values: dict[str, Any] = {"search.trials": 3, "search.max_epochs": 4}
    if search == "als":
        values["space.embedding_size.max"] = 12
    values |= {key.replace("__", "."): value for key, value in overrides.items()}
    spec = load_search(search, overrides=values)
    request = Request(spec, dataset, root / "run", str(root / "store"), folds=folds,
                      command="recsearch search")  # fmt: skip
    resolved = resolve_request(request)
    paths = RunPaths(request.run_root)
    with ExitStack() as stack:
        stack.enter_context(locked(paths))
        identity = driver._settle_identity(paths, resolved)
        journal = stack.enter_context(Journal(paths.journal))
        store = stack.enter_context(Store.open(request.store_url))
        first, *others = spec.objectives
        record = Record.replay(first, journal.events, others)
        ledger = Ledger(
            journal, record, lag=spec.search.lag,
            on_best=lambda trial, row: session.write_best(paths, identity, trial, row),
            on_front=lambda found: session.write_front(paths, identity, found),
        )  # fmt: skip
        planner = driver.make_planner(resolved, ledger, driver.make_suggester_of(resolved))
        terms = trials.search_terms(resolved)
        shared = trials._worker_setup(resolved, identity, paths, terms)
        ledger.write("opened", pid=1, host="h", version="0", workers=1, trials=planner.total,
                     resumed=False)  # fmt: skip
        while isinstance(planned := planner.next(), PlannedTrial):
            ledger.started(planned.number)
            plan = shared.plan(planned.number, planned.config, planned.key, planned.keys)
            for result in run_trial(plan, resolved.family, resolved.splits, store):
                outcome = asdict(result)
                del outcome["replayed"]
                if ledger.report(planned.number, {"outcome": outcome}, terms.pruning):
                    break
    return RunView.open(paths.root)
