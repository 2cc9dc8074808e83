"""What the checkpoints of a run take, by codec, and which epochs can still be restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from analysis.formatting import ABSENT, plural
from analysis.values import dig
from recsearch.errors import RecsearchError, StoreDamagedError
from recsearch.run import RunView
from recsearch.store import Share, Store, Usage


class CodecRow(NamedTuple):
    """Blobs stored by one codec; ``ratio`` is raw bytes per stored byte."""

    codec: str
    blobs: int
    raw: int
    stored: int
    ratio: float | None


class ShareRow(NamedTuple):
    """Checkpoints of some owner; ``logical`` is what plain files would take."""

    name: str
    checkpoints: int
    logical: int
    stored: int
    ratio: float | None


class StorageInfo(NamedTuple):
    """The run in its store, as it is now.

    Attributes:
        problem: why the store could not be looked at; "" where it could.
        policy: the retention policy of the search.
        codecs: of the blobs that the run's checkpoints need, most stored bytes first.
        shares: this run, all runs of its policy, and the whole store.
        restorable: epochs that can be restored, of how many that were finished.
        trials: trials of which at least one epoch can be restored, of how many with any.
        best: whether the best epoch can be restored; None before there is one.
        complete: trials of which every epoch can be.
    """

    problem: str
    policy: str
    codecs: tuple[CodecRow, ...]
    shares: tuple[ShareRow, ...]
    restorable: tuple[int, int]
    trials: tuple[int, int]
    best: bool | None
    complete: int


def survey_store(url: str) -> Usage | str:
    """What the store at ``url`` holds, or why it cannot be said."""
    try:
        with Store.open(url, create=False) as store:
            return store.du()
    except StoreDamagedError:
        return "its store is damaged (see recsearch store verify)."
    except (RecsearchError, OSError):
        return "its store is not at hand."


def storage_info(run: RunView, usage: Usage | str) -> StorageInfo:
    """Look the run up in what its store holds; ``usage`` is that, or why it is not known."""
    policy = str(dig(run.identity, "search", "search", "retention", default="best+last"))
    epochs = sum(len(trial.epochs) for trial in run.trials)
    begun = [trial for trial in run.trials if trial.epochs]
    best = run.best()
    if isinstance(usage, str):
        known = None if best is None else False
        return StorageInfo(usage, policy, (), (), (0, epochs), (0, len(begun)), known, 0)
    there = {trial.number: restorable_epochs(trial.fold_keys, usage.restorable) for trial in begun}
    kept = {t.number: there[t.number] & {row.epoch for row in t.epochs} for t in begun}
    run_id = str(run.identity.get("run_id", ""))
    return StorageInfo(
        problem="",
        policy=policy,
        codecs=_codec_rows(usage.run_codecs.get(run_id, {})),
        shares=tuple(_share_rows(usage, run_id, policy)),
        restorable=(sum(map(len, kept.values())), epochs),
        trials=(sum(map(bool, kept.values())), len(begun)),
        best=None if best is None else best[1].epoch in kept[best[0].number],
        complete=sum(len(kept[t.number]) == len(t.epochs) for t in begun),
    )


def restorable_epochs(keys: tuple[str, ...], there: Mapping[str, tuple[int, ...]]) -> set[int]:
    """The epochs of a trial that every fold has in the store."""
    found = [set(there.get(key, ())) for key in keys]
    return set.intersection(*found) if found else set()


def restorable_words(info: StorageInfo) -> str:
    """What can be restored, in a sentence."""
    if info.problem:
        return f"What can be restored is not known: {info.problem}"
    kept, epochs = info.restorable
    trials, begun = info.trials
    if not epochs:
        return "No epoch is finished yet."
    if not kept:
        return "None of the epochs of this run is in the store any more."
    best = {True: "The best epoch can be restored.", False: "The best epoch is not in the store: "
            "recsearch verify retrains it.", None: ""}[info.best]  # fmt: skip
    return (
        f"{kept} of {plural(epochs, 'epoch')} can be restored now, of {trials} of "
        f"{plural(begun, 'trial')}; of {info.complete} every epoch. {best}"
    ).strip()


def ratio_text(ratio: float | None) -> str:
    """A ratio as the pages write it.

    >>> ratio_text(1.626), ratio_text(None)
    ('1.63', '–')
    """
    return ABSENT if ratio is None else f"{ratio:.3g}"


def _codec_rows(codecs: Mapping[str, Mapping[str, int]]) -> tuple[CodecRow, ...]:
    rows = [
        CodecRow(name, found["blobs"], found["raw_bytes"], found["stored_bytes"],
                 _ratio(found["raw_bytes"], found["stored_bytes"]))
        for name, found in codecs.items()
    ]  # fmt: skip
    return tuple(sorted(rows, key=lambda row: (-row.stored, row.codec)))


def _share_rows(usage: Usage, run_id: str, policy: str) -> list[ShareRow]:
    found: list[tuple[str, Share | None]] = [
        ("this run", usage.groups.get("run", {}).get(run_id)),
        (f"all runs that keep {policy}", usage.groups.get("policy", {}).get(policy)),
        ("the whole store", usage),
    ]
    return [
        ShareRow(name, share.checkpoints, share.logical_bytes, share.stored_bytes,
                 _ratio(share.logical_bytes, share.stored_bytes))
        for name, share in found
        if share is not None
    ]  # fmt: skip


def _ratio(logical: int, stored: int) -> float | None:
    return logical / stored if stored else None
