"""Runs that are not whole, or not of the usual kind, which pages must show all the same."""

from __future__ import annotations

import json
from pathlib import Path

from fabricate import Fabricated


def killed(root: Path) -> Path:
    """Killed half way: no ``closed`` event, two trials at work, one suggested."""
    run = Fabricated(name="killed", trials=9)
    run.opened()
    run.baseline("bias", RMSE=0.9)
    for number, state in enumerate(["done", "pruned", "done", "training", "training"], start=1):
        run.trial(number, {"embedding_size": 8 * number}, [0.95, 0.9 - number / 100], state=state)
    run.trial(6, {"embedding_size": 99}, [], state="queued")
    return run.write(root)


def nothing_done(root: Path) -> Path:
    """Minutes after the start: three trials of several epochs, none of which has ended."""
    run = Fabricated(name="early", trials=30)
    run.opened()
    for number in (1, 2, 3):
        run.trial(number, {"embedding_size": 8 * number}, [0.95, 0.9, 0.89], state="training")
    return run.write(root)


def three_folds(root: Path) -> Path:
    """Each epoch is a mean over three folds; sizes are their sum."""
    run = Fabricated(name="folds", trials=6)
    run.opened()
    for number in range(1, 7):
        params = {"embedding_size": 8 * number}
        keys = [f"{10 * number + fold:064x}" for fold in range(3)]
        run.event("suggested", trial=number, params=params, config=params, origin="random",
                  key=keys[0], keys=keys)  # fmt: skip
        run.event("started", trial=number)
        for epoch in (1, 2):
            run.tick(3)
            mean = 0.9 - 0.01 * number - 0.01 * epoch
            run.event("epoch", trial=number, epoch=epoch, metrics={"RMSE": mean}, train_s=3.0,
                      eval_s=0.3, save_s=0.1, stored_bytes=300, cached=False,
                      logical_bytes=number * 3 << 20,
                      folds=[{"RMSE": mean + d} for d in (-0.01, 0.0, 0.01)])  # fmt: skip
        run.event("done", trial=number, epoch=2, reason="plateau")
    run.closed()
    folder = run.write(root)
    identity = json.loads((folder / "run.json").read_text())
    identity["validation"] = {"folds": 3, "split_ids": [f"{k}e" * 32 for k in (1, 2, 3)]}
    (folder / "run.json").write_text(json.dumps(identity))
    return folder


def continued(root: Path) -> Path:
    """Trial 2 was pruned and continued, trial 3 done and is being continued."""
    run = Fabricated(name="continued", trials=4)
    run.opened()
    for number, state in enumerate(["done", "pruned", "done", "done"], start=1):
        run.trial(number, {"embedding_size": 8 * number}, [0.95, 0.9 - number / 100], state=state)
    run.closed()
    run.tick(3600)
    run.opened(resumed=True)
    for number in (2, 3):
        run.event("continued", trial=number, epochs=4)
        run.event("started", trial=number)
        run.tick(4)
        run.event("epoch", trial=number, epoch=3, metrics={"RMSE": 0.84}, train_s=3.2, eval_s=0.6,
                  save_s=0.1, stored_bytes=9, logical_bytes=9, cached=False)  # fmt: skip
    run.event("done", trial=2, epoch=3, reason="continued")
    return run.write(root)


def best_of_one_epoch(root: Path) -> Path:
    """The best was pruned after its first epoch, so that it has no curve."""
    run = Fabricated(name="short", trials=5)
    run.opened()
    run.trial(1, {"embedding_size": 8}, [0.8], state="pruned")
    for number in range(2, 6):
        run.trial(number, {"embedding_size": 8 * number}, [0.95, 0.9 - number / 100])
    run.closed()
    return run.write(root)


def gaps(root: Path) -> Path:
    """Trial numbers that do not follow one another, and start late."""
    run = Fabricated(name="gaps", trials=40)
    run.opened()
    for number in (3, 7, 8, 21, 40):
        run.trial(number, {"embedding_size": 8 * number}, [0.95, 0.9 - number / 1000])
    run.closed(130)
    return run.write(root)


ODD = [killed, nothing_done, three_folds, continued, best_of_one_epoch, gaps]
