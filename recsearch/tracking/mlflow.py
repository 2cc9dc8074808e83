"""MLflow: one run per trial, in one experiment per run, step = epoch.

Where nothing else is said (``mlflow:URI``, ``MLFLOW_TRACKING_URI``), a SQLite database in the run
folder, ``mlflow.db``: what MLflow recommends for local files since its folder of text files
(``file:``) is no longer developed.

Why nothing is there twice and nothing is missing, wherever the process is killed: MLflow itself is
asked what it has. Runs are found by their tags, which are written with the run in one step. All
metrics of an epoch go in one batch, and after them the tag ``recsearch.epochs`` rises to it. So the
epochs up to the tag are whole, those after the next one have not been begun, and of the next one
alone a process reads the history of each metric, once, to see which are there. SQL stores, beside
that, hold a metric with equal run, step, time and value once; the time is the journal's, so it is
equal. A database is made beside its place and moved there when it has all its tables.
"""

from __future__ import annotations

import glob
import logging
import os
import re
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from recsearch.epochs import EpochRow, TrialView
from recsearch.journal import seconds
from recsearch.run import RunView
from recsearch.tracking.targets import mlflow_uri
from recsearch.tracking.tracker import facts, label, measured, outcome

EPOCHS = "recsearch.epochs"
"""Tag with the number of epochs that are wholly there."""

STATUS = {"done": "FINISHED", "pruned": "FINISHED", "error": "FAILED", "interrupted": "KILLED"}
"""MLflow's status of a trial's state; all other states are running."""

LONGEST, LONGEST_TAG = 250, 1000
"""Characters of a name, and of the text of a tag."""


class MLflow:
    """Logs to an MLflow tracking store.

    Args:
        run: whose trials are logged.
        uri: of the store; None for that of the environment, or a database in the run folder.
    """

    def __init__(self, run: RunView, uri: str | None = None):
        from mlflow import MlflowClient

        uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or mlflow_uri(run.path)
        if "://" not in uri or uri.startswith("file:"):
            # Asked for by name; MLflow wants to be told that it is meant.
            os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        # An unreachable server is to be told of while the search runs, not after minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._run = run
        self._uri = uri
        make_database(uri)
        self._client = MlflowClient(tracking_uri=uri)
        self._experiment = self._settle(f"{run.name} {run.identity['run_id'][:12]}")
        self._ids: dict[int, str] = {}
        self._tags: dict[int, dict[str, str]] = {}
        self._made: set[str] = set()
        self._steps: dict[tuple[str, str], set[int]] = {}
        self._find()

    def log(self, trial: TrialView) -> None:
        """Log what the MLflow run of the trial lacks."""
        if trial.number not in self._ids:
            self._create(trial)
        run_id, tags = self._ids[trial.number], self._tags[trial.number]
        wanted = self._wanted(trial)
        if wanted.items() <= tags.items():
            return
        if tags.get("recsearch.state") in STATUS:
            self._client.update_run(run_id, status="RUNNING")
        if EPOCHS not in tags:
            self._params(run_id, trial)
        self._epochs(run_id, trial, int(tags.get(EPOCHS, 0)))
        if trial.finished:
            self._best(run_id, trial)
        if trial.state in STATUS:
            self._client.set_terminated(run_id, STATUS[trial.state], _ms(trial.left_at))
        # Last: a trial with these tags is not looked at again.
        self._set(run_id, {k: v for k, v in wanted.items() if tags.get(k) != v})
        self._tags[trial.number] = tags | wanted

    def close(self) -> None:
        """Nothing: all is written when `log` returns."""

    def _params(self, run_id: str, trial: TrialView) -> None:
        from mlflow.entities import Param

        params = [Param(name_of(name), str(value)) for name, value in trial.params.items()]
        self._client.log_batch(run_id, params=params)

    def _epochs(self, run_id: str, trial: TrialView, whole: int) -> None:
        for row in trial.epochs[whole:]:
            values = measured(row.metrics)
            if row.epoch == whole + 1:
                # A killed process may have begun it.
                values = {n: v for n, v in values.items() if not self._has(run_id, n, row.epoch)}
            self._metrics(run_id, values, row)
            self._set(run_id, {EPOCHS: str(row.epoch)})

    def _best(self, run_id: str, trial: TrialView) -> None:
        """The value of the best epoch by each objective, since MLflow's tables show the last."""
        for metric in self._run.objectives:
            row, name = self._run.trial_best(trial, metric.name), f"best/{metric.name}"
            if row is not None and not self._has(run_id, name, row.epoch):
                self._metrics(run_id, {name: row.value(metric.name)}, row)

    def _metrics(self, run_id: str, values: dict[str, float], row: EpochRow) -> None:
        from mlflow.entities import Metric

        found = [Metric(name_of(n), v, _ms(row.time), row.epoch) for n, v in values.items()]
        self._client.log_batch(run_id, metrics=found)
        for name in values:
            if (run_id, name) in self._steps:
                self._steps[run_id, name].add(row.epoch)

    def _has(self, run_id: str, name: str, step: int) -> bool:
        """Whether a step of a metric is there; the server is asked once for each metric."""
        if (run_id, name) not in self._steps:
            known = run_id in self._made
            history = [] if known else self._client.get_metric_history(run_id, name_of(name))
            self._steps[run_id, name] = {row.step for row in history}
        return step in self._steps[run_id, name]

    def _set(self, run_id: str, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()])

    def _wanted(self, trial: TrialView) -> dict[str, str]:
        """The tags of a trial that is wholly logged."""
        best = self._run.trial_best(trial)
        found = outcome(trial, best) | ({"message": trial.message} if trial.message else {})
        tags = {f"recsearch.{name}": str(value)[:LONGEST_TAG] for name, value in found.items()}
        return {**tags, EPOCHS: str(len(trial.epochs))}

    def _settle(self, name: str) -> str:
        """The id of the experiment, made if it is not there."""
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # Nothing is stored there, but MLflow would name the working folder.
        place = (self._run.path.resolve() / "mlflow-artifacts").as_uri()
        local = self._uri.startswith(("sqlite:", "file:")) or "://" not in self._uri
        return str(self._client.create_experiment(name, place if local else None))

    def _find(self) -> None:
        """Take up the runs that are there, by their tags."""
        token = None
        while True:
            page = self._client.search_runs([self._experiment], page_token=token)
            for run in page:
                tags = dict(run.data.tags)
                if tags.get("recsearch.trial", "").isdigit():
                    number = int(tags["recsearch.trial"])
                    self._ids[number], self._tags[number] = run.info.run_id, tags
            token = page.token
            if not token:
                return

    def _create(self, trial: TrialView) -> None:
        about = facts(self._run, trial)
        tags = {f"recsearch.{name}": str(value) for name, value in about.items()}
        run = self._client.create_run(
            self._experiment, _ms(trial.begun_at), tags=tags, run_name=label(trial)
        )
        self._ids[trial.number], self._tags[trial.number] = run.info.run_id, tags
        self._made.add(run.info.run_id)


def make_database(uri: str) -> None:
    """Make the SQLite database of a URI, whole or not at all; nothing if it is there, or no such.

    MLflow makes its tables one by one, and cannot go on with some of them. The lock is for runs
    that share a database; whose draft lies there while it is held has been killed.
    """
    from mlflow import MlflowClient

    place, mark, query = uri.removeprefix("sqlite:///").partition("?")
    path = Path(place)
    if not uri.startswith("sqlite:///") or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        for left in path.parent.glob(f".{glob.escape(path.name)}.draft-*"):
            shutil.rmtree(left, ignore_errors=True)
        if path.exists():
            return
        prefix = f".{path.name}.draft-"
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=prefix) as folder:
            draft = Path(folder) / path.name
            client = MlflowClient(tracking_uri=f"sqlite:///{draft}{mark}{query}")
            client.search_experiments(max_results=1)
            draft.replace(path)


def name_of(name: str) -> str:
    """A metric or parameter as MLflow can name it: ``NDCG@10`` is ``NDCG_at_10``."""
    return re.sub(r"[^\w\-. :/]", "_", name.replace("@", "_at_"))[:LONGEST]


def _ms(time: str | None) -> int:
    return round(seconds(time) * 1000)
