"""Weights & Biases: one run per trial, grouped by the run it belongs to, step = epoch.

The id of a W&B run is a function of run and trial (`run_key`), so every command that logs a trial
continues the same W&B run (``resume="allow"``). Its summary has the metrics of the best epoch, not
of the last.

Why nothing is there twice and nothing is missing, wherever the process is killed: an epoch is one
history row, committed at once with its step, and rows at or below the last one that W&B *has* are
not logged again. What it has is never guessed from what was handed to it: W&B writes in a process
of its own, and of a run that is killed it may keep any number of the first rows (measured: none of
3, two seconds later). So

* online, the server is asked: a resumed run tells the step after its last row;
* offline, the steps are read back from the ``.wandb`` files below the run folder. A row is one
  record of such a log, the log ends where a record is torn, and a new process begins a new file.

``recsearch.json`` beside these files holds, for each mode, which W&B runs were finished and with
what: after W&B has said that all is uploaded, or after all rows were read back. It saves opening a
W&B run to which nothing is to be added, and it outlives ``wandb clean``, which deletes files that
were uploaded. A kill before it is written costs a W&B run that is opened once more, without rows.
"""

from __future__ import annotations

import json
import os
from typing import Any

from recsearch.epochs import TrialView
from recsearch.files import write_atomic
from recsearch.run import RunView
from recsearch.tracking.targets import FILES_ONLY
from recsearch.tracking.tracker import facts, measured, outcome
from recsearch.tracking.wandb_files import steps_of

PROJECT = "recsearch"
"""Of the W&B runs, unless ``WANDB_PROJECT`` names another."""


QUIET = {
    "silent": True, "console": "off", "disable_git": True, "save_code": False,
    "disable_job_creation": True, "x_disable_stats": True, "x_disable_meta": True,
    "x_save_requirements": False,
}  # fmt: skip
"""No noise on the terminal, and nothing of this machine or the working folder."""


def run_key(run_id: str, trial: int) -> str:
    """Id of the W&B run of a trial: a pure function of both."""
    return f"{run_id[:16]}-{trial:04d}"


class Wandb:
    """Logs to Weights & Biases.

    Args:
        run: whose trials are logged.
        offline: whether files are written alone, whatever ``WANDB_MODE`` says.
    """

    def __init__(self, run: RunView, *, offline: bool = False):
        self._run = run
        self._mode: Any = "offline" if offline else os.environ.get("WANDB_MODE") or "online"
        self._folder = run.path / "wandb"
        self._project = os.environ.get("WANDB_PROJECT") or PROJECT
        self._finished = self._read()
        self._open: dict[int, Any] = {}
        self._last: dict[int, int] = {}

    def log(self, trial: TrialView) -> None:
        """Log the epochs that W&B lacks; a trial that has ended is finished there."""
        best = self._run.trial_best(trial)
        metrics = {} if best is None else measured(best.metrics)
        told = {"steps": len(trial.epochs), **outcome(trial, best)}
        if trial.number not in self._open:
            if self._finished.get(self._key(trial)) == told:
                return
            self._begin(trial)
        there = self._open[trial.number]
        for row in trial.epochs:
            if row.epoch > self._last[trial.number]:
                there.log(measured(row.metrics), step=row.epoch, commit=True)
                self._last[trial.number] = row.epoch
        there.summary.update({**metrics, **outcome(trial, best)})
        if trial.finished:
            self._end(trial, told)

    def close(self) -> None:
        """Let go of the W&B runs of trials that go on; W&B shows them as failed until they do."""
        for number in list(self._open):
            self._open.pop(number).finish(exit_code=1)

    def _begin(self, trial: TrialView) -> None:
        import wandb

        self._folder.mkdir(exist_ok=True)
        key = self._key(trial)
        there = wandb.init(
            project=self._project,
            id=key,
            name=f"{self._run.name} trial {trial.number}",
            group=f"{self._run.name} {self._run.identity['run_id'][:8]}",
            job_type="trial",
            resume="allow",
            reinit="create_new",
            mode=self._mode,
            dir=str(self._run.path),
            config={**trial.params, "recsearch": facts(self._run, trial)},
            settings=wandb.Settings(**_settings(wandb.Settings)),
        )
        # Or the summary would follow the last epoch.
        there.define_metric("*", summary="none")
        self._open[trial.number] = there
        if self._mode in FILES_ONLY:
            had = steps_of(self._folder, key) | {self._finished.get(key, {}).get("steps", 0)}
            self._last[trial.number] = max(had)
        else:
            self._last[trial.number] = there.starting_step - 1

    def _end(self, trial: TrialView, told: dict[str, Any]) -> None:
        key = self._key(trial)
        self._open.pop(trial.number).finish(exit_code=1 if trial.state == "error" else 0)
        if self._mode in FILES_ONLY:
            before = self._finished.get(key, {}).get("steps", 0)
            if max(steps_of(self._folder, key) | {before}) < told["steps"]:
                return
        self._finished[key] = told
        self._write()

    def _key(self, trial: TrialView) -> str:
        return run_key(self._run.identity["run_id"], trial.number)

    @property
    def _place(self) -> str:
        return f"{self._mode} {os.environ.get('WANDB_ENTITY', '')}/{self._project}"

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads((self._folder / "recsearch.json").read_text(encoding="utf-8"))
            return dict(found[self._place])
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _write(self) -> None:
        path = self._folder / "recsearch.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        write_atomic(path, {**found, self._place: self._finished})


def _settings(known: Any) -> dict[str, Any]:
    """Of `QUIET` what this version of W&B knows."""
    fields = getattr(known, "model_fields", QUIET)
    return {name: value for name, value in QUIET.items() if name in fields}
