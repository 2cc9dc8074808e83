"""Names to families, without importing what is not asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recsearch.errors import UsageError
from recsearch.models import FAMILIES, Family, Model, resolve


def test_listing_families_imports_no_model_library() -> None:
    program = (
        "import sys\n"
        "from recsearch.models import FAMILIES\n"
        "assert {'als', 'bias', 'flexmf-implicit', 'lightgcn'} <= set(FAMILIES)\n"
        "heavy = {'lenskit', 'torch', 'scipy', 'pandas', 'ray'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_short_names_and_class_paths_are_one_family(name: str) -> None:
    family = resolve(name)
    assert isinstance(family, Family)
    assert family is FAMILIES[name]()
    # Of several families of one component, the class path alone means the first.
    alike = [
        found for make in FAMILIES.values() if (found := make()).class_path == family.class_path
    ]
    assert alike[0] is resolve(family.class_path)
    assert alike[0] is resolve(family.class_path.replace(":", "."))
    assert family is alike[0] or alike[0].name.partition("-")[0] == name.partition("-")[0]
    assert family.name == name
    assert family.code_version >= 1
    assert family.class_path in repr(family)


def test_class_paths_name_importable_classes() -> None:
    from importlib import import_module

    for factory in FAMILIES.values():
        module, _, cls = factory().class_path.partition(":")
        assert isinstance(getattr(import_module(module), cls), type)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("asl", "als"),
        ("als-implicitt", "als-implicit"),
        ("lenskit.als:BiasedMF", "lenskit.als:BiasedMFScorer"),
        ("lenskit.als.ImplicitMFScorrer", "lenskit.als:ImplicitMFScorer"),
        ("populer", "popular"),
        ("", "popular"),
    ],
)
def test_an_unknown_name_lists_the_known(name: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(name)
    assert nearest in str(caught.value)


def test_a_class_of_ones_own() -> None:
    family = resolve("own_model:NearestMean")
    assert family is resolve("own_model:NearestMean")
    assert (family.predicts_ratings, family.iterative, family.code_version) == (True, True, 3)
    assert family.continue_parts is None
    assert set(family.versions()) == {"numpy"}
    from model_splits import make_split

    assert isinstance(family.create(family.complete({}), make_split(), 0), Model)


def test_a_class_that_is_no_model_is_told_what_it_lacks() -> None:
    with pytest.raises(UsageError) as caught:
        resolve("own_model:NoModel")
    for word in ("train_epoch", "load_state", "predicts_ratings (bool)", "code_version (int)"):
        assert word in caught.value.message
    assert "scores" not in caught.value.message


def test_a_class_that_cannot_be_imported() -> None:
    with pytest.raises(UsageError, match="no_such_package"):
        resolve("no_such_package.models:Thing")
    with pytest.raises(UsageError, match="own_model has no Thing"):
        resolve("own_model:Thing")


def test_a_value_without_json_form_is_refused() -> None:
    with pytest.raises(UsageError, match="JSON"):
        resolve("own_model:NearestMean").complete({"rate": float("nan")})
