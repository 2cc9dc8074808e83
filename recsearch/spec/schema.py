"""What a search file may say: one model per section; the text below a field documents its key."""

from __future__ import annotations

from itertools import permutations
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)

from recsearch.data.prepare import parse_steps
from recsearch.data.reading import Reading
from recsearch.data.splitspec import SplitSpec
from recsearch.data.steps import Step

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr

_N = "[1-9][0-9]{0,5}"
_TERMS = (f"best(:{_N})?", f"last(:{_N})?", f"every:{_N}")
_SUMS = "|".join("[+]".join(order) for n in (1, 2, 3) for order in permutations(_TERMS, n))
_EPOCHS = f"(all|none|{_SUMS})"
RETENTION = f"^{_EPOCHS}(, ?topk-trials:{_N}(:{_EPOCHS})?)?(, ?pruned:{_EPOCHS})?$"
QUOTA = "^(none|[0-9]+([.][0-9]+)? ?([kMGT]i?)?B)$"
EXPECTED = {
    RETENTION: "all, none, or best, last and every:N with optional counts, such as best+last or "
    "best:2+last:3, and for trials that have ended topk-trials:K or pruned:none after a comma",
    QUOTA: "none or a number of bytes, such as 500 MB, 5 GB or 1.5 TiB",
}
"""Pattern to what it asks for, in words."""


class Section(BaseModel):
    """A table of a search file: immutable, without unknown keys, without silent conversions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True,
        validate_by_name=False, validate_by_alias=True, allow_inf_nan=False,
    )  # fmt: skip


class ModelSection(Section):
    """``[model]``: what is trained."""

    class_: Annotated[str, Field(alias="class", min_length=1)]
    """Model family: a short name such as ``als``, or a class path such as
    ``lenskit.als:BiasedMFScorer``."""
    config: dict[str, JsonValue] = {}
    """Fixed parameters, nested as the model nests them. What is not given has the model's
    default; what the space searches replaces what is given here."""
    predicts_ratings: bool | None = None
    """Whether the model predicts ratings. The model decides; ``true`` for one that does not is an
    error."""


class PlateauStop(Section):
    """``stop = { rule = "plateau", … }``: end a trial that no longer improves."""

    rule: Literal["plateau"] = "plateau"
    """``plateau`` ends a trial after ``patience`` epochs in a row without an improvement;
    ``none`` trains every trial for ``max_epochs``."""
    patience: Annotated[int, Field(ge=1)] = 3
    """Number of epochs in a row that must fall short before the trial ends."""
    min_improvement: Annotated[float, Field(ge=0)] = 0.005
    """Improvement over the best epoch so far, relative to it, below which an epoch falls short."""
    grace: Annotated[int, Field(ge=0)] = 3
    """Number of epochs that every trial may train, whatever its results."""


class NoStop(Section):
    """``stop = { rule = "none" }``: train every trial for ``max_epochs``."""

    rule: Literal["none"] = "none"
    """See ``rule`` of the plateau."""


class ConstraintsSection(Section):
    """``[search.constraints]``: which configurations are never trained."""

    max_model_mb: Annotated[float, Field(gt=0)] | None = None
    """Largest model that is trained: megabytes (1 MB = 1,000,000 bytes) of an epoch on this data
    set, by the model's own arithmetic: parameters and what its optimizer keeps beside them. Other
    points of the space are not suggested."""


class SearchSection(Section):
    """``[search]``: what is optimised, how, and for how long."""

    metric: str
    """Objective, measured on the validation part after every epoch, such as ``RMSE`` or
    ``NDCG@10``; its direction is known. A list of several, such as ``["RMSE", "NDCG@10"]``, asks
    for their Pareto front; see Several objectives below."""
    objectives: tuple[str, ...] = ()
    """All objectives in order, as a run records them; a search file gives them as a list in
    ``metric``."""
    metrics: list[str] = []
    """Further metrics to record beside the usual ones. They never influence the search."""
    method: Literal["tpe", "random", "grid"] = "tpe"
    """Searcher: ``tpe`` (tree-structured Parzen estimator), ``random`` (independent draws) or
    ``grid`` (every combination, in the order of the file). Trial 1 is always the default
    configuration."""
    cheapest_of: Annotated[int, Field(ge=1, le=8)] = 1
    """``tpe`` proposes this many points for a trial, and the one whose epochs are cheapest is
    tried: the model says what an epoch costs. 1 leaves cost out of it."""
    trials: Annotated[int, Field(ge=1)] = 100
    """Total number of trials, resumed ones included. A space with fewer points ends earlier."""
    max_epochs: Annotated[int, Field(ge=1)] = 30
    """Epochs per trial at most. One-shot models have exactly one."""
    scheduler: Literal["asha", "halving", "median", "none"] = "asha"
    """Rule that prunes trials which fall behind others: ``asha`` (asynchronous successive
    halving), ``halving`` (at every epoch, among all trials), ``median`` or ``none``."""
    scheduler_options: dict[str, Scalar] = {}
    """Settings of the scheduler, by name."""
    stop: Annotated[PlateauStop | NoStop, Field(discriminator="rule")] = PlateauStop()
    """Rule that ends a trial by its own results alone."""
    lag: Annotated[int, Field(ge=1)] = 8
    """Trial k is suggested from the results of trials 1 … k - lag. Up to this many trials can
    run at a time; a smaller value makes each suggestion better informed."""
    retention: Annotated[str, Field(pattern=RETENTION)] = "best+last"
    """Epochs whose checkpoints stay: ``all``, or ``best``, ``last`` and ``every:N`` with optional
    counts, such as ``best:2+last:3``; see Retention below."""
    recompute: StrictBool = False
    """With retention ``all``: of epochs that are neither best nor last, do not store what the model
    computes again from the rest (ALS: users from items). Halves the store; such an epoch loads
    with the ratings at hand, on the kind of machine that trained it, and is verified then."""
    quota: Annotated[str, Field(pattern=QUOTA)] = "none"
    """Bytes that the run's checkpoints may hold in the store, such as ``5 GB``. A resumed run
    may have another one."""
    constraints: ConstraintsSection = ConstraintsSection()
    """Which configurations are never trained; see Constraints below."""


class SplitSection(Section):
    """``[data.split]``: what is for training and what is held out."""

    method: Literal[
        "crossfold-users", "crossfold-records", "sample-users", "sample-records", "global-time"
    ] = "crossfold-users"
    """How ratings are divided: ``crossfold-users``, ``crossfold-records``, ``sample-users``,
    ``sample-records`` or ``global-time``; see Splits in docs/data.md."""
    folds: Annotated[int, Field(ge=2)] = SplitSpec.folds
    """Number of parts that users or ratings are dealt into, or of samples. A search validates on
    the first."""
    holdout: StrictInt | StrictFloat = SplitSpec.holdout
    """Ratings held out per user of a part: a number, or a share between 0 and 1."""
    pick: Literal["random", "last"] = "random"
    """Which of a user's ratings are held out: ``random`` ones or the ``last`` in time."""
    size: StrictInt | StrictFloat | None = None
    """Users or ratings in each sample of a ``sample-`` method: a number, or a share of all."""
    cuts: list[StrictInt | StrictFloat | StrictStr] = []
    """For ``global-time``: the ends of the training and of the validation period, as shares of all
    ratings (``[0.8, 0.9]``, the default), ISO dates or seconds since 1970 (both UTC)."""
    isolate: StrictBool = False
    """Whether no part trains on what another part holds out. LensKit's parts do."""
    seed: Annotated[int, Field(ge=0)] = SplitSpec.seed
    """Seed of the split; short: ``--split-seed``."""
    rng: Literal["separate", "shared"] = "separate"
    """Whether users are dealt and their ratings picked by two generators of this seed or by one;
    ``shared`` with the default seed is the split of the LensKit Codex since July 2026."""

    def spec(self) -> SplitSpec:
        """The split that the data room knows."""
        return SplitSpec(**{**self.model_dump(), "cuts": tuple(self.cuts)})


class DataSection(Section):
    """``[data]``: how ratings are read, prepared and split, whatever the data set."""

    columns: dict[str, StrictInt | StrictStr] = {}
    """Columns of a ``csv:`` or ``parquet:`` file, where they have other names than the usual ones:
    ``user_id``, ``item_id``, ``rating`` and ``timestamp`` to names of the file, or to numbers from
    1 on in a CSV file without a line of names."""
    delimiter: str | None = None
    """What separates the columns of a ``csv:`` file, one character or several. Otherwise the first
    line shows which of comma, tab, semicolon and bar does."""
    duplicates: Literal["error", "first", "last", "mean", "max"] = "error"
    """What becomes of several ratings of one item by one user: an ``error``, the ``first`` or
    ``last`` in time, their ``mean`` or their ``max``."""
    prepare: list[dict[str, JsonValue]] = []
    """Steps that prepare the ratings, in this order, each a table with the name of the step and
    its value; see Preparing in docs/data.md."""
    split: SplitSection = SplitSection()
    """What is for training and what is held out."""

    def reading(self) -> Reading:
        """How the file is read."""
        return Reading(self.columns, self.delimiter, self.duplicates)

    def steps(self) -> tuple[Step, ...]:
        """The steps of preparing."""
        return parse_steps(self.prepare)


class _DomainTable(Section):
    when: dict[str, Scalar | Annotated[list[Scalar], Field(min_length=1)]] = {}
    """Condition: the parameter takes part only where each of these other parameters has the
    given value, or one of the given list."""


class BoolTable(_DomainTable):
    """``{ type = "bool" }``: false or true."""

    type: Literal["bool"]
    """``bool``."""


class ChoiceTable(_DomainTable):
    """``{ type = "choice", choices = […] }``: one of a list."""

    type: Literal["choice"]
    """``choice``."""
    choices: list[Scalar]
    """Values of a ``choice``: strings, numbers or booleans."""


class _RangeTable(_DomainTable):
    scale: Literal["uniform", "log", "pow2"] = "uniform"
    """Distribution: ``uniform``, ``log`` (log-uniform) or ``pow2`` (powers of two, all equally
    likely)."""
    points: Annotated[int, Field(ge=2)] = 5
    """Number of values that a grid search takes from the range, evenly spread on its scale."""


class IntTable(_RangeTable):
    """``{ type = "int", min = …, max = … }``: integers, both bounds included."""

    type: Literal["int"]
    """Kind of the parameter: ``int``, ``float``, ``bool`` or ``choice``."""
    min: int
    """Smallest value; it belongs to the range."""
    max: int
    """Largest value; it belongs to the range."""
    step: int | None = None
    """Distance between values, from ``min`` on; for the uniform scale."""
    grid: list[int] | None = None
    """The values of a grid search, instead of ``points``."""


class FloatTable(_RangeTable):
    """``{ type = "float", min = …, max = … }``: floats, both bounds included."""

    type: Literal["float"]
    """``float``."""
    min: float
    """Smallest value; it belongs to the range."""
    max: float
    """Largest value; it belongs to the range."""
    step: float | None = None
    """Distance between values, from ``min`` on; for the uniform scale."""
    grid: list[float] | None = None
    """The values of a grid search, instead of ``points``."""


DOMAIN_TABLES: dict[str, type[Section]] = {
    "int": IntTable,
    "float": FloatTable,
    "bool": BoolTable,
    "choice": ChoiceTable,
}
"""Parameter type to the keys that go with it."""

STOP_RULES: dict[str, type[Section]] = {"plateau": PlateauStop, "none": NoStop}
"""Stop rule to the keys that go with it."""


def keys_of(section: type[Section]) -> list[str]:
    """The keys of a section as a file spells them."""
    return [field.alias or name for name, field in section.model_fields.items()]


_LATE = frozenset({"when", "scale", "points", "step", "grid"})
"""Optional keys of a parameter, documented after those that it needs."""


def describe_schema() -> dict[str, str]:
    """Every key of a search file by its dotted name, with what it means, as one paragraph."""
    found = {"title": "Title of the run's page."}
    sections: tuple[tuple[str, type[Section]], ...] = (
        ("model", ModelSection),
        ("search", SearchSection),
        ("search.stop", PlateauStop),
        ("search.constraints", ConstraintsSection),
        ("data", DataSection),
        ("data.split", SplitSection),
        ("space.NAME", IntTable),
        ("space.NAME", ChoiceTable),
    )
    for prefix, section in sections:
        fields = section.model_fields
        for name in sorted(fields, key=lambda name: name in _LATE):
            field = fields[name]
            text = " ".join((field.description or "").split())
            found.setdefault(f"{prefix}.{field.alias or name}", text)
    return found
