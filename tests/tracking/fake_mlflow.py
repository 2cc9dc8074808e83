"""MLflow's client at its strictest: it keeps what is logged twice, and dies within a batch."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, NamedTuple

from tracking_tools import Kill

NAME = re.compile(r"^[/\w.\- :]+$")


class Metric(NamedTuple):
    key: str
    value: float
    timestamp: int
    step: int


class Param(NamedTuple):
    key: str
    value: str


class RunTag(NamedTuple):
    key: str
    value: str


class Page(list[Any]):
    token: str | None = None


class FakeServer:
    """What outlives the client; raises `Kill` at its ``kill_at``-th point."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.kill_at, self.points, self.asked = 0, 0, list[str]()

    def point(self) -> None:
        self.points += 1
        if self.points == self.kill_at:
            raise Kill

    def client(self, tracking_uri: str) -> FakeClient:
        return FakeClient(self)


class FakeClient:
    def __init__(self, server: FakeServer):
        self.server = server

    def get_experiment_by_name(self, name: str) -> Any:
        found = self.server.experiments.get(name)
        return found and SimpleNamespace(experiment_id=found)

    def create_experiment(self, name: str, place: str | None) -> str:
        self.server.point()
        assert name not in self.server.experiments
        self.server.experiments[name] = str(len(self.server.experiments) + 1)
        self.server.point()
        return self.server.experiments[name]

    def search_runs(self, experiments: list[str], page_token: str | None = None) -> Page:
        """Two to a page."""
        found = [(k, v) for k, v in self.server.runs.items() if v["experiment"] in experiments]
        begin = int(page_token or 0)
        page = Page(
            SimpleNamespace(
                info=SimpleNamespace(run_id=key), data=SimpleNamespace(tags=dict(run["tags"]))
            )
            for key, run in found[begin : begin + 2]
        )
        page.token = str(begin + 2) if begin + 2 < len(found) else None
        return page

    def create_run(self, experiment: str, start_time: int, tags: Any, run_name: str) -> Any:
        self.server.point()
        key = f"run{len(self.server.runs)}"
        self.server.runs[key] = {"experiment": experiment, "tags": dict(tags), "metrics": [],
                                 "params": {}, "status": "RUNNING"}  # fmt: skip
        self.server.point()
        return SimpleNamespace(info=SimpleNamespace(run_id=key))

    def log_batch(self, key: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        run = self.server.runs[key]
        for param in params:
            self.server.point()
            assert NAME.match(param.key)
            assert run["params"].setdefault(param.key, param.value) == param.value
        for metric in metrics:
            self.server.point()
            assert NAME.match(metric.key), metric.key
            run["metrics"].append(metric)
        for tag in tags:
            self.server.point()
            run["tags"][tag.key] = tag.value
        self.server.point()

    def get_metric_history(self, key: str, name: str) -> list[Metric]:
        self.server.asked.append(name)
        return [metric for metric in self.server.runs[key]["metrics"] if metric.key == name]

    def update_run(self, key: str, status: str) -> None:
        self.server.point()
        self.server.runs[key]["status"] = status

    def set_terminated(self, key: str, status: str, end_time: int) -> None:
        self.server.point()
        self.server.runs[key]["status"] = status
        self.server.point()
