"""What a search costs, and what it misses, by scheduler and stop rule: searches without Ray.

A search's trials depend neither on the number of workers nor on timing, so the project's own
planner, ledger and rules, run one trial after the other over remembered curves, give exactly the
trials of the real search. A strategy is written ``SCHEDULER / STOP``, rules with their options::

    python -m benchmarks.search.strategies --data ml100k --algorithm als --seeds 42,43,44 \
        --strategy "asha(eta=4) / plateau(patience=2)" --strategy "none / plateau()"

Cost is counted in epochs and in floating-point operations of the cheaper form of every row, which
no load on the machine changes; seconds of one core are those of whoever trained the curve first.
A third part, ``/ tpe(cheapest_of=2)``, changes what is suggested.
"""

from __future__ import annotations

import json
import statistics
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click

from benchmarks.search.curves import Curves
from benchmarks.search.replay import Outcome, replay
from recsearch.data import SplitSpec, load_dataset, load_split
from recsearch.errors import RecsearchError, UsageError
from recsearch.evaluation import parse
from recsearch.files import write_atomic
from recsearch.identity import digest
from recsearch.journal import JournalInMemory
from recsearch.ledger import Ledger
from recsearch.models import Family, resolve
from recsearch.plan import TrialPlan
from recsearch.planner import PlannedTrial, Planner
from recsearch.pruning import Rule, parse_scheduler
from recsearch.record import Record
from recsearch.space import Params
from recsearch.spec import SearchSpec, load_search
from recsearch.stopping import StopRule, parse_stop
from recsearch.suggest import default_params, make_suggester

OBJECTIVES = {"als": "RMSE", "als-implicit": "NDCG@10"}
FULL = "none / plateau(patience=3, min_improvement=0.0005, grace=5)"
"""The search that everything else is compared with: nothing pruned, stops late."""


@dataclass(frozen=True)
class Strategy:
    """A scheduler and a stop rule with their options; ``str`` is how they are written."""

    scheduler: str
    options: tuple[tuple[str, Any], ...]
    stop: tuple[tuple[str, Any], ...]
    cheapest_of: int = 1

    @classmethod
    def of(cls, text: str) -> Strategy:
        """Read ``SCHEDULER(KEY=VALUE, …) / STOP(KEY=VALUE, …)``, then maybe ``/ tpe(…)``.

        Raises:
            UsageError: it is written otherwise.
        """
        parts = [_call(part) for part in text.split("/")]
        if len(parts) not in (2, 3):
            raise UsageError(f"{text!r}: expected SCHEDULER(...) / STOP(...).")
        (name, options), (rule, settings), (_, searcher) = [*parts, ("tpe", {})][:3]
        stop = (("rule", rule), *settings.items())
        return cls(name, tuple(options.items()), stop, **searcher)

    def overrides(self) -> dict[str, Any]:
        """As keys over a search file."""
        return {
            "search.scheduler": self.scheduler,
            "search.scheduler_options": dict(self.options),
            "search.stop": dict(self.stop),
            "search.cheapest_of": self.cheapest_of,
        }

    def rules(self, max_epochs: int) -> tuple[Rule, StopRule]:
        """The pure rules."""
        rule = parse_scheduler(self.scheduler, dict(self.options), max_epochs)
        return rule, parse_stop(dict(self.stop))

    def __str__(self) -> str:
        stop = dict(self.stop)
        rule = stop.pop("rule")
        searcher = f" / tpe(cheapest_of={self.cheapest_of})" if self.cheapest_of > 1 else ""
        return (
            f"{self.scheduler}{_options(self.options)} / {rule}{_options(stop.items())}{searcher}"
        )


def simulate(
    spec: SearchSpec, family: Family, seed: int, rule: Rule, stop: StopRule, curves: Curves,
    cost: Callable[[int], float],
) -> tuple[Record, Outcome]:  # fmt: skip
    """Run a search, one trial after the other.

    Args:
        spec: method, objective, space, lag and numbers of trials and epochs; its own rules are not
            read.
        family: the model.
        seed: root seed of the search.
        rule: what prunes trials.
        stop: what ends them.
        curves: trained with the same family, seed and objective.
        cost: GFLOP of one epoch by embedding size.
    """
    search = spec.search
    record = Record(parse(search.metric))
    ledger = Ledger(JournalInMemory(), record, lag=search.lag)

    def complete(params: Params) -> dict[str, Any]:
        return family.complete(spec.configuration(params))

    suggester = make_suggester(
        spec, seed, default_params(spec, family.complete({})),
        lambda params: cost(complete(params).get("embedding_size", 0)),
    )  # fmt: skip
    planner = Planner(
        ledger,
        suggester,
        total=search.trials,
        lag=search.lag,
        complete=complete,
        key_of=curves.key,
    )
    while isinstance(planned := planner.next(), PlannedTrial):
        ledger.started(planned.number)
        plan = TrialPlan(
            planned.number, planned.config, planned.key, seed, search.max_epochs, stop,
            record.objective.name, (record.objective.name,), search.retention, False, "simulated",
        )  # fmt: skip
        while not ledger.report(planned.number, _report(plan, record, curves), rule):
            pass
    return record, _outcome(record, cost)


def _report(plan: TrialPlan, record: Record, curves: Curves) -> dict[str, Any]:
    rows = record.trials[plan.number].epochs
    point = curves.point(plan.config, len(rows) + 1)
    if point.error:
        return {"error": {"kind": point.error, "message": ""}}
    history = [
        *({"metrics": row.metrics} for row in rows),
        {"metrics": {plan.objective: point.value}},
    ]
    return {
        "outcome": {
            "epoch": len(history),
            "metrics": {plan.objective: point.value},
            "train_s": point.train_s,
            "finished": plan.finish_reason(history),
        }
    }


def _outcome(record: Record, cost: Callable[[int], float]) -> Outcome:
    best = record.best()
    if best is None:
        raise RecsearchError("no epoch has a value: there is no best to compare.")
    trials = record.trials.values()
    return Outcome(
        best=best[1].value(record.objective.name),
        trial=best[0].number,
        epoch=best[1].epoch,
        epochs=sum(len(trial.epochs) for trial in trials),
        pruned=record.counts()["pruned"],
        gflop=sum(cost(t.config.get("embedding_size", 0)) * len(t.epochs) for t in trials),
        core_s=sum(row.train_s for trial in trials for row in trial.epochs),
    )


@dataclass
class Desk:
    """Searches of one algorithm on one data set, each remembered in a file of its own.

    Attributes:
        data: name of the data set.
        algorithm: name of the search file.
        folder: where curves and outcomes are remembered.
    """

    data: str
    algorithm: str
    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.spec = self._spec()
        self.family = resolve(self.spec.model.class_)
        self.split = load_split(load_dataset(self.data), SplitSpec())
        self.cost = cache(self._gflop)
        self._full: tuple[int, Record] | None = None

    def _gflop(self, size: int) -> float:
        config = self.family.complete({"embedding_size": size})
        return self.family.work(config, self.split).flops / 1e9

    def run(self, strategy: Strategy, seed: int) -> Outcome:
        """The outcome of one search, simulated unless it is remembered."""
        path = self.folder / f"{self.data}-{self.algorithm}-outcomes.jsonl"
        spec = self._spec(strategy)
        searched = [spec.search.trials, spec.search.lag, spec.search.max_epochs, repr(spec.space)]
        asked = {"strategy": str(strategy), "seed": seed, "searched": digest(searched)}
        for row in _rows(path):
            if asked.items() <= row.items():
                return Outcome(**row["outcome"])
        outcome = self._simulate(strategy, seed)[1]
        row = {**asked, "outcome": asdict(outcome)}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        return outcome

    def replay(self, strategy: Strategy, seed: int) -> Outcome:
        """The outcome of the strategy on the trials of the full search."""
        if self._full is None or self._full[0] != seed:
            self._full = (seed, self._simulate(Strategy.of(FULL), seed)[0])
        search = self.spec.search
        rules = strategy.rules(search.max_epochs)
        return replay(self._full[1], *rules, search.lag, self.cost)

    def _simulate(self, strategy: Strategy, seed: int) -> tuple[Record, Outcome]:
        file = self.folder / f"{self.data}-{self.algorithm}-{seed}.jsonl"
        curves = Curves(file, self.split, self.family, self.spec.search.metric, seed)
        rules = strategy.rules(self.spec.search.max_epochs)
        spec = self._spec(strategy)
        return simulate(spec, self.family, seed, *rules, curves, self.cost)

    def _spec(self, strategy: Strategy | None = None) -> SearchSpec:
        settings: dict[str, Any] = {"metric": OBJECTIVES[self.algorithm]}
        if strategy is not None:
            settings["cheapest_of"] = strategy.cheapest_of
        overrides = {f"search.{key}": value for key, value in settings.items()}
        return load_search(self.algorithm, overrides=overrides)


def summary(
    desk: Desk, outcomes: Mapping[tuple[str, int], Outcome], names: Sequence[str]
) -> list[dict[str, Any]]:
    """One row per strategy: its medians over the seeds that both it and `FULL` have."""
    sign = 1 if parse(desk.spec.search.metric).direction == "min" else -1
    rows = []
    for name in names:
        seeds = [s for n, s in outcomes if n == name and (FULL, s) in outcomes]
        if not seeds:
            continue
        mine, full = ([outcomes[n, s] for s in seeds] for n in (name, FULL))
        behind = [sign * (a.best - b.best) + 0.0 for a, b in zip(mine, full, strict=True)]
        rows.append(
            {
                "data": desk.data,
                "algorithm": desk.algorithm,
                "strategy": name,
                "seeds": seeds,
                "best": statistics.median(a.best for a in mine),
                "behind_median": statistics.median(behind),
                "behind_worst": max(behind),
                **{
                    key: statistics.median(getattr(a, key) for a in mine)
                    for key in ("epochs", "pruned", "gflop", "core_s")
                },
                "gflop_ratio": sum(a.gflop for a in mine) / sum(b.gflop for b in full),
            }
        )
    return sorted(rows, key=lambda row: row["gflop"])


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table."""
    head = (
        "| data | algorithm | strategy | seeds | best | behind: median | worst | epochs | pruned "
        "| GFLOP | of full | core s |\n" + "| --- " * 12 + "|\n"
    )
    return head + "".join(
        f"| {r['data']} | {r['algorithm']} | `{r['strategy']}` | {len(r['seeds'])} "
        f"| {r['best']:.5f} | {r['behind_median']:+.5f} | {r['behind_worst']:+.5f} "
        f"| {r['epochs']:.0f} | {r['pruned']:.0f} | {r['gflop']:.0f} | {r['gflop_ratio']:.2f} "
        f"| {r['core_s']:.0f} |\n"
        for r in rows
    )


def _call(text: str) -> tuple[str, dict[str, Any]]:
    name, _, rest = text.strip().partition("(")
    return name.strip(), tomllib.loads(f"x = {{{rest.removesuffix(')')}}}")["x"]


def _options(items: Iterable[tuple[str, Any]]) -> str:
    inside = ", ".join(f"{key}={json.dumps(value)}" for key, value in items)
    return f"({inside})" if inside else ""


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@click.command()
@click.option("--data", default="ml100k", show_default=True)
@click.option("--algorithm", type=click.Choice(sorted(OBJECTIVES)), default="als")
@click.option("--seeds", default="42,43,44,45,46", show_default=True)
@click.option("--strategy", "strategies", multiple=True, help="SCHEDULER(…) / STOP(…); repeatable.")
@click.option("--full/--no-full", default=True, help="Simulate the full search, too.")
@click.option("--fixed", is_flag=True, help="Apply the rules to the full search's trials.")
@click.option("--memo", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="JSON to write.")
def main(
    data: str, algorithm: str, seeds: str, strategies: tuple[str, ...], full: bool, fixed: bool,
    memo: Path, out: Path | None,
) -> None:  # fmt: skip
    """Simulate searches and print their table, with the full search's beside it."""
    desk = Desk(data, algorithm, memo)
    names = list(dict.fromkeys(str(Strategy.of(text)) for text in (FULL,) * full + strategies))
    outcomes = {}
    for seed in map(int, seeds.split(",")):
        for name in names:
            search = desk.replay if fixed else desk.run
            outcomes[name, seed] = outcome = search(Strategy.of(name), seed)
            click.echo(f"{seed} {name}: {json.dumps(asdict(outcome))}", err=True)
    rows = summary(desk, outcomes, names)
    click.echo(table(rows))
    if out is not None:
        add_to(out, [{**row, "trials": "fixed" if fixed else "searched"} for row in rows])


def add_to(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows into a file of results; those of the same strategies there make way."""

    def what(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[key] for key in ("trials", "data", "algorithm", "strategy"))

    old = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    new = {what(row) for row in rows}
    document = {"full": FULL, "rows": [*(row for row in old if what(row) not in new), *rows]}
    write_atomic(path, document)


if __name__ == "__main__":
    main()
