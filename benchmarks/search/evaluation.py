"""Evaluation of one epoch: LensKit's loop beside ours, its share of training, and a large shape.

    python -m benchmarks.search.evaluation --sizes 4,16,64,256

Times are CPU seconds of this process with one thread, so that other work on the machine counts for
little. The factors are the same on both sides: LensKit measures the pipeline of the trained model.
"""

from __future__ import annotations

import resource
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np

from benchmarks.search.lenskit_files import heldout
from benchmarks.store.als import ratings, untrained
from benchmarks.store.facts import machine
from recsearch.data import Interactions, Source, Split
from recsearch.evaluation import Scores, default_metrics, evaluate, per_user
from recsearch.files import write_atomic
from recsearch.models.piped import pipeline_scores
from recsearch.threads import use_one_thread

RESULTS = Path(__file__).parent.parent / "results" / "evaluation.json"
SIZES = (4, 16, 32, 64, 128, 256, 512)
METRICS = default_metrics(predicts_ratings=True)
USERS, ITEMS, RATED, HELD = 138_000, 27_000, 145, 5
"""The shape of MovieLens 20M: training and held-out ratings are per user."""


def cpu_seconds(measure: Callable[[], Any], times: int) -> float:
    """The least of several, after one that compiles and fills caches."""
    measure()
    seconds = []
    for _ in range(times):
        began = time.process_time()
        measure()
        seconds.append(time.process_time() - began)
    return min(seconds)


def run(split: Split, sizes: Sequence[int], *, users: int = USERS) -> dict[str, Any]:
    """Measure everything.

    Args:
        split: ratings of the comparison with LensKit and of training.
        sizes: embedding sizes at which training is measured; the comparison is at size 64.
        users: evaluation users of the large shape.
    """
    use_one_thread()
    return {
        "users": len(split.eval_users),
        "items": split.n_items,
        "lenskit": against_lenskit(split),
        "training": [share_of_training(split, size) for size in sizes],
        "large": large_shape(users),
    }


def against_lenskit(split: Split, size: int = 64) -> dict[str, Any]:
    """LensKit's own loop over users, as its tuner runs it, beside ours; lists compared one by one.

    LensKit's tuner measures six metrics, ours here are twelve.
    """
    from lenskit.tuning._measure import measure_pipeline

    _, model = untrained(size, split)
    model.train_epoch()
    pipeline, test = model.to_pipeline(split.train), heldout(split)
    spec: Any = SimpleNamespace(search=SimpleNamespace(list_length=None))
    lenskit_s = cpu_seconds(lambda: measure_pipeline(spec, pipeline, test), 2)
    ours_s = cpu_seconds(lambda: evaluate(model.scores, split, METRICS), 20)
    piped = pipeline_scores(model, split, 1)
    return {
        "size": size,
        "lenskit_s": lenskit_s,
        "ours_s": ours_s,
        "ratio": lenskit_s / ours_s,
        "piped_s": cpu_seconds(lambda: evaluate(piped, split, METRICS), 1),
        "differences": differences(model.scores, split, pipeline, test),
    }


def differences(scores: Scores, split: Split, pipeline: Any, test: Any) -> dict[str, Any]:
    """Largest difference over all users of each metric from LensKit's `RunAnalysis`.

    First on the lists that LensKit recommends, then on those of our own scores: there the two may
    order items of equal score differently, LensKit's sort being unstable.
    """
    from lenskit import predict, recommend
    from lenskit.data import ItemListCollection, UserIDKey

    lists, predicted = ItemListCollection(UserIDKey), ItemListCollection(UserIDKey)
    order = np.full((split.n_users, split.n_items), np.nan, dtype=np.float32)
    for user, (key, items) in zip(split.eval_users, test, strict=True):
        recommended = recommend(pipeline, key.user_id)
        order[user, np.searchsorted(split.item_ids, recommended.ids())] = -np.arange(
            len(recommended)
        )
        lists.add(recommended, key.user_id)
        predicted.add(predict(pipeline, key.user_id, items), key.user_id)
    theirs = lenskit_values(lists, predicted, test)
    ours = per_user(scores, split, list(theirs))
    ranking = default_metrics(predicts_ratings=False)
    same = ours | per_user(lambda users, _: order[users], split, ranking)
    return {
        "same_lists": {name: _largest(same[name] - theirs[name]) for name in theirs},
        "own_lists": {name: _largest(ours[name] - theirs[name]) for name in theirs},
        "users_with_other_order": int(np.count_nonzero(abs(ours["NDCG"] - theirs["NDCG"]) > 1e-9)),
    }


def lenskit_values(lists: Any, predicted: Any, test: Any) -> dict[str, np.ndarray]:
    """LensKit's values of every metric that it has by user, (n_eval,) each."""
    from lenskit import metrics as lk

    ranking, rating = lk.RunAnalysis(), lk.RunAnalysis(lk.RMSE(), lk.MAE())
    names = default_metrics(predicts_ratings=False)
    for name in names:
        base, _, cut = name.partition("@")
        metric = lk.ranking.AveragePrecision if base == "MAP" else getattr(lk, base)
        ranking.add_metric(metric(int(cut)) if cut else metric(), label=name)
    # An analysis adds up what it measures, so each measures once.
    found = ranking.measure(lists, test).list_metrics()
    errors = rating.measure(predicted, test).list_metrics()
    values = {name: found[name] for name in names} | {name: errors[name] for name in errors}
    return {name: value.to_numpy(dtype=np.float64) for name, value in values.items()}


def _largest(difference: np.ndarray) -> float:
    return float(np.max(np.abs(difference)))


def share_of_training(split: Split, size: int) -> dict[str, float]:
    """Evaluation beside one epoch of ALS training."""
    _, model = untrained(size, split)
    train_s = cpu_seconds(model.train_epoch, 1 if size > 128 else 3)
    model.scores(split.eval_users[:1])
    eval_s = cpu_seconds(lambda: evaluate(model.scores, split, METRICS), 20)
    rmse_s = cpu_seconds(lambda: evaluate(model.scores, split, ["RMSE"]), 20)
    return {
        "size": size,
        "train_s": train_s,
        "eval_s": eval_s,
        "share": eval_s / train_s,
        "rmse_only_s": rmse_s,
    }


def large_split(users: int, seed: int = 1) -> Split:
    """Random ratings of the shape of MovieLens 20M, every user evaluated."""
    rng = np.random.default_rng(seed)
    # Gaps between a user's items: they are distinct and ascending, and none is past the last.
    width = RATED + HELD
    gaps = rng.integers(1, ITEMS // width, (users, width), dtype=np.int32)
    items = np.cumsum(gaps, axis=1, dtype=np.int32)
    held = np.sort(rng.choice(width, HELD, replace=False))
    values = np.full(users * RATED, 3.5, dtype=np.float32)
    return Split(
        source=Source("generated", "shape of MovieLens 20M", "generated", None, None, True),
        dataset_id="0" * 64,
        split_id="0" * 64,
        method={"method": "generated"},
        part=0,
        user_ids=np.arange(users),
        item_ids=np.arange(ITEMS),
        titles=None,
        train=_rows(np.delete(items, held, axis=1), values),
        eval_users=np.arange(users, dtype=np.int32),
        heldout=_rows(items[:, held], values[: users * HELD]),
    )


def _rows(items: np.ndarray, values: np.ndarray) -> Interactions:
    users, width = items.shape
    indptr = np.arange(users + 1, dtype=np.int64) * width
    return Interactions(indptr, np.ascontiguousarray(items).reshape(-1), values, None)


def large_shape(users: int, size: int = 64) -> dict[str, Any]:
    """All users of the large shape, in full: seconds and the most memory that it takes."""
    split = large_split(users)
    rng = np.random.default_rng(2)
    P = rng.standard_normal((users, size), dtype=np.float32)
    Q = rng.standard_normal((ITEMS, size), dtype=np.float32)

    def scores(rows: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        block: np.ndarray = P[rows] @ (Q if items is None else Q[items]).T
        return block

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    began, wall = time.process_time(), time.perf_counter()
    evaluate(scores, split, METRICS)
    found = {
        "users": users,
        "items": ITEMS,
        "size": size,
        "heldout": len(split.heldout.items),
        "cpu_s": time.process_time() - began,
        "wall_s": time.perf_counter() - wall,
        "peak_bytes": tracemalloc.get_traced_memory()[1],
        "rss_grown_bytes": 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before),
    }
    tracemalloc.stop()
    return found


def show(found: dict[str, Any]) -> None:
    """The result as tables."""
    both, large = found["lenskit"], found["large"]
    print(f"{found['users']:,} users, {found['items']:,} items, ALS of size {both['size']}")
    print(f"LensKit's loop        {both['lenskit_s'] * 1e3:>9.1f} ms CPU, 6 metrics")
    print(f"ours                  {both['ours_s'] * 1e3:>9.1f} ms CPU, 12 metrics")
    print(f"ours, user by user    {both['piped_s'] * 1e3:>9.1f} ms CPU, 12 metrics")
    print(f"ratio                 {both['ratio']:>9.0f}")
    differ = both["differences"]
    print(f"largest difference    {max(differ['same_lists'].values()):>9.1e} on LensKit's lists")
    print(
        f"                      {max(differ['own_lists'].values()):>9.1e} on ours: equal scores "
        f"are ordered otherwise for {differ['users_with_other_order']} users"
    )
    print("\nsize  train ms   eval ms   share   RMSE alone ms")
    for row in found["training"]:
        print(
            f"{row['size']:>4} {row['train_s'] * 1e3:>9.1f} {row['eval_s'] * 1e3:>9.2f} "
            f"{row['share']:>7.1%} {row['rmse_only_s'] * 1e3:>11.2f}"
        )
    print(
        f"\n{large['users']:,} users, {large['items']:,} items, size {large['size']}, in full: "
        f"{large['cpu_s']:.1f} s CPU, {large['peak_bytes'] / 2**20:.0f} MiB at most"
    )


@click.command()
@click.option("--sizes", default=",".join(map(str, SIZES)), show_default=True)
@click.option("--users", default=USERS, show_default=True, help="Users of the large shape.")
@click.option("--out", default=RESULTS, show_default=True, type=click.Path(path_type=Path))
def main(sizes: str, users: int, out: Path) -> None:
    """Measure, print and write the results."""
    split, note = ratings()
    with tempfile.TemporaryDirectory() as folder:
        facts = machine(Path(folder))
    found = run(split, [int(size) for size in sizes.split(",")], users=users)
    found |= {"data": split.source.name, "note": note, "machine": facts}
    show(found)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, found)


if __name__ == "__main__":
    main()
