"""The Ray actor that runs one trial after another: a thin shell around `recsearch.trial`."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ray.tune import Trainable

from recsearch.data import Split
from recsearch.errors import RecsearchError, StoreError
from recsearch.models import resolve
from recsearch.plan import TrialPlan
from recsearch.run_paths import RunPaths
from recsearch.stopping import StopRule
from recsearch.store import Store
from recsearch.threads import use_one_thread
from recsearch.trial import EpochResult, run_trial
from recsearch.tuning.failure import to_report
from recsearch.tuning.meeting import Meeting
from recsearch.tuning.terminate import survive_terminate


@dataclass(frozen=True)
class WorkerSetup:
    """What all trials of a run share, beside the splits."""

    model: str
    device: str
    seed: int
    max_epochs: int
    stop: StopRule
    objective: str
    metrics: tuple[str, ...]
    retention: str
    recompute: bool
    run_id: str
    run_root: str
    store_url: str
    about: Mapping[str, Any]
    meeting: str
    workers: int
    others: tuple[str, ...] = ()

    def plan(
        self, number: int, config: Mapping[str, Any], key: str, keys: Sequence[str] = ()
    ) -> TrialPlan:
        """The plan of one trial."""
        return TrialPlan(
            number=number,
            config=config,
            key=key,
            seed=self.seed,
            max_epochs=self.max_epochs,
            stop=self.stop,
            objective=self.objective,
            metrics=self.metrics,
            retention=self.retention,
            recompute=self.recompute,
            run_id=self.run_id,
            about=self.about,
            keys=tuple(keys),
            others=self.others,
        )


class TrialWorker(Trainable):
    """Runs trials; reused from trial to trial, so that data and libraries are loaded once."""

    def setup(self, config: dict[str, Any], splits: tuple[Split, ...], shared: WorkerSetup) -> None:
        """Take what all trials share, and the first trial; errors wait for its first step."""
        use_one_thread()
        survive_terminate()
        self._splits = splits
        self._shared = shared
        self._store: Store | None = None
        self._epochs: Generator[EpochResult, None, None] | None = None
        self._log = logging.getLogger("recsearch.worker")
        self._meeting = Meeting(Path(shared.meeting), shared.workers)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial in the same process."""
        self._stop()
        number, config = new_config["trial"], new_config["config"]
        self._plan = self._shared.plan(number, config, new_config["key"], new_config["keys"])
        return True

    def step(self) -> dict[str, Any]:
        """Run one epoch.

        What a model raises becomes a result: it ends this trial and no other. What the store or
        the run folder raises ends the search, which can be resumed once that is mended.
        """
        self._meeting.arrive()
        report, goes_on = self._step()
        if not goes_on:
            self._meeting.wait()
        return report

    def _step(self) -> tuple[dict[str, Any], bool]:
        """The report of one epoch, and whether the trial may go on after it."""
        try:
            if self._epochs is None:
                self._epochs = self._begin()
        except RecsearchError as err:
            return _report(fatal=to_report(err)), False
        except OSError as err:
            problem = RecsearchError(f"{err.filename}: cannot write the trial's logs: {err}.")
            return _report(fatal=to_report(problem)), False
        try:
            result = next(self._epochs)
            if result.note:
                self._log.warning(result.note)
            self._log.info(_line(result, (self._plan.objective, *self._plan.others)))
        except StoreError as err:
            return _report(fatal=to_report(err)), False
        except Exception as err:  # noqa: BLE001 - whatever a model raises is that trial's error
            self._log.error("trial %d failed\n%s", self._plan.number, traceback.format_exc())
            return _report(error={"kind": type(err).__name__, "message": str(err)}), False
        outcome = asdict(result)
        del outcome["replayed"]
        return _report(outcome=outcome), result.finished is None

    def cleanup(self) -> None:
        """Close the store and the logs."""
        self._stop()
        if self._store is not None:
            self._store.close()
        _close(self._log)

    def _stop(self) -> None:
        if self._epochs is not None:
            self._epochs.close()
            self._epochs = None

    def _begin(self) -> Generator[EpochResult, None, None]:
        _open_logs(self._log, RunPaths(Path(self._shared.run_root)).trial(self._plan.number))
        self._log.info("--- started %s ---", datetime.now(UTC).isoformat(timespec="seconds"))
        if self._store is None:
            self._store = Store.open(self._shared.store_url)
        family = resolve(self._shared.model).on(self._shared.device)
        return run_trial(self._plan, family, self._splits, self._store)


def _report(**content: Any) -> dict[str, Any]:
    """One string, so that Ray neither flattens nor interprets what is in it."""
    return {"report": json.dumps(content)}


def _line(result: EpochResult, objectives: tuple[str, ...]) -> str:
    source = " (from the store)" if result.replayed else ""
    values = ", ".join(f"{name} {result.metrics[name]:.6f}" for name in objectives)
    return (
        f"epoch {result.epoch}: {values}, "
        f"train {result.train_s:.3f} s, evaluate {result.eval_s:.3f} s, "
        f"save {result.save_s:.3f} s{source}"
    )


def _open_logs(log: logging.Logger, folder: Path) -> None:
    """Log a trial to ``out.log``, and its errors to ``err.log``; both are appended to."""
    folder.mkdir(parents=True, exist_ok=True)
    _close(log)
    log.setLevel(logging.INFO)
    log.propagate = False
    form = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    for name, level in (("out.log", logging.INFO), ("err.log", logging.WARNING)):
        handler = logging.FileHandler(folder / name, delay=True, encoding="utf-8")
        handler.setLevel(level)
        handler.setFormatter(form)
        log.addHandler(handler)


def _close(log: logging.Logger) -> None:
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
