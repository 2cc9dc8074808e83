"""W&B as strict as it can be: a step that does not rise raises, and a kill loses what was last."""

from __future__ import annotations

from typing import Any

from tracking_tools import Kill


class FakeRun:
    def __init__(self, fake: FakeWandb, key: str, given: dict[str, Any]):
        self.fake, self.key, self.given = fake, key, given
        self.has = fake.rows.setdefault(key, [])
        self.starting_step = self.has[-1][0] + 1 if self.has and fake.online else 0
        self.last = self.has[-1][0] if self.has else -1
        self.pending: list[tuple[int, dict[str, float]]] = []
        self.defined: dict[str, Any] = {}
        self.summary = Summary(self)

    def define_metric(self, name: str, **how: Any) -> None:
        self.fake.point()
        self.defined[name] = how

    def log(self, row: dict[str, float], step: int, commit: bool) -> None:
        self.fake.point()
        assert commit
        if step <= self.last:
            raise ValueError(f"{self.key}: step {step} after {self.last}")
        self.last = step
        self.pending.append((step, dict(row)))
        self.fake.point()

    def finish(self, exit_code: int) -> None:
        self.fake.point()
        self.has += self.pending
        self.pending = []
        self.fake.ended[self.key] = exit_code
        self.fake.open.remove(self)
        self.fake.point()


class Summary(dict[str, Any]):
    def __init__(self, run: FakeRun):
        super().__init__()
        self.run = run

    def update(self, values: dict[str, Any]) -> None:  # type: ignore[override]
        self.run.fake.point()
        self.run.fake.summaries.setdefault(self.run.key, {}).update(values)
        self.run.fake.point()


class FakeWandb:
    """The module ``wandb``; raises `Kill` at its ``kill_at``-th point, keeping ``kept`` rows."""

    def __init__(self, *, online: bool):
        self.online = online
        self.rows: dict[str, list[tuple[int, dict[str, float]]]] = {}
        self.summaries: dict[str, dict[str, Any]] = {}
        self.ended: dict[str, int] = {}
        self.inits: list[dict[str, Any]] = []
        self.open: list[FakeRun] = []
        self.kill_at, self.kept, self.points = 0, 0, 0

    def Settings(self, **values: Any) -> dict[str, Any]:  # noqa: N802 - as W&B has it
        return values

    def init(self, **given: Any) -> FakeRun:
        self.point()
        self.inits.append(given)
        run = FakeRun(self, given["id"], given)
        self.open.append(run)
        return run

    def point(self) -> None:
        self.points += 1
        if self.points == self.kill_at:
            for run in self.open:
                run.has += run.pending[: self.kept]
            self.open = []
            raise Kill

    def steps_of(self, folder: Any, key: str) -> set[int]:
        return {step for step, _ in self.rows.get(key, [])}
