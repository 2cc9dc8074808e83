"""A model class of the user's own as a family."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from recsearch.errors import UsageError
from recsearch.identity import canonical_json
from recsearch.models.protocol import Family, Model, Work

if TYPE_CHECKING:
    import numpy as np

    from recsearch.data import Split
    from recsearch.state import State

_ATTRIBUTES: Mapping[str, type] = {
    "predicts_ratings": bool,
    "iterative": bool,
    "code_version": int,
    "default_metric": str,
}
_METHODS = (
    "complete",
    "create",
    "load",
    "train_epoch",
    "state",
    "load_state",
    "to_pipeline",
)


class CustomFamily(Family):
    """Adapts a class with the members that `recsearch.models.protocol` lists.

    Without ``scores`` its models are evaluated through their pipelines, user by user.
    """

    def __init__(self, class_path: str, cls: Any):
        self.name = class_path
        self.class_path = class_path
        self.predicts_ratings = cls.predicts_ratings
        self.iterative = cls.iterative
        self.code_version = cls.code_version
        self.default_metric = cls.default_metric
        parts = getattr(cls, "continue_parts", None)
        self.continue_parts = None if parts is None else tuple(parts)
        self.libraries = tuple(getattr(cls, "libraries", ()))
        self._cls = cls

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """As `Family.complete`; the result of the class is checked to be JSON-able."""
        completed = dict(self._cls.complete(dict(config)))
        try:
            canonical_json(completed)
        except (TypeError, ValueError) as err:
            raise UsageError(
                f"{self.name}: complete() returned a value without JSON form: {err}."
            ) from err
        return completed

    def create(
        self, config: Mapping[str, Any], split: Split, seed: int | np.random.SeedSequence
    ) -> Model:
        """As `Family.create`."""
        model: Model = self._cls.create(dict(config), split, seed)
        return model

    def load(self, config: Mapping[str, Any], state: State) -> Model:
        """As `Family.load`."""
        model: Model = self._cls.load(dict(config), state)
        return model

    def model_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """What the class estimates; 0 where it has no estimate."""
        estimate = getattr(self._cls, "model_bytes", None)
        return 0 if estimate is None else int(estimate(dict(config), split))

    def prepare(self) -> None:
        """What the class prepares; else nothing."""
        prepare = getattr(self._cls, "prepare", None)
        if prepare is None:
            return
        try:
            prepare()
        except Exception as err:
            raise UsageError(f"{self.name}: prepare() raised {type(err).__name__}: {err}") from err

    def work(self, config: Mapping[str, Any], split: Split) -> Work:
        """What the class estimates; else as `Family.work`."""
        estimate = getattr(self._cls, "work", None)
        if estimate is None:
            return super().work(config, split)
        found: Work = estimate(dict(config), split)
        return found


@cache
def custom_family(class_path: str) -> Family:
    """Import ``package.module:Class`` and wrap it.

    Raises:
        UsageError: it cannot be imported, or lacks a member; names all that it lacks.
    """
    module_name, _, class_name = class_path.partition(":")
    try:
        cls = getattr(import_module(module_name), class_name)
    except ImportError as err:
        raise UsageError(
            f"model {class_path}: module {module_name} cannot be imported: {err}.",
            hint="Install the package, or run from the folder that holds it with PYTHONPATH=.",
        ) from err
    except AttributeError as err:
        raise UsageError(f"model {class_path}: {module_name} has no {class_name}.") from err
    missing = [name for name in _METHODS if not callable(getattr(cls, name, None))]
    missing += [
        f"{name} ({kind.__name__})"
        for name, kind in _ATTRIBUTES.items()
        if not isinstance(getattr(cls, name, None), kind)
    ]
    if missing:
        raise UsageError(
            f"model {class_path} cannot be searched; it lacks: {', '.join(missing)}.",
            hint="See what a model class needs: python -m pydoc recsearch.models.protocol",
        )
    return CustomFamily(class_path, cls)
