"""FlexMF: the contract of a family, and the numbers of LensKit's own trainers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from contract import PipelineContract
from model_splits import make_split

from recsearch.data import Split
from recsearch.data.lenskit import dataset
from recsearch.errors import UsageError
from recsearch.models import resolve
from recsearch.models.flexmf import blocks, defects
from recsearch.models.flexmf.warp import in_one_row

# LensKit makes tensors of its own read-only arrays when it scores.
pytestmark = pytest.mark.filterwarnings("ignore:(The given NumPy array is not writable|Sparse)")


class TestExplicit(PipelineContract):
    family_name = "flexmf-explicit"
    config: ClassVar = {"embedding_size": 6, "reg_method": "AdamW", "batch_size": 300}
    typo = ("regularisation", "regularization")
    epochs = 4


class TestExplicitSparse(PipelineContract):
    family_name = "lenskit.flexmf:FlexMFExplicitScorer"
    config: ClassVar = {"embedding_size": 1, "batch_size": 300}
    string_ids = True
    typo = ("learning_rat", "learning_rate")
    epochs = 4


class TestBPR(PipelineContract):
    family_name = "flexmf-implicit"
    config: ClassVar = {
        "loss": "pairwise",
        "embedding_size": 8,
        "batch_size": 200,
        "negative_count": 3,
        "item_bias": False,
    }
    typo = ("negativ_count", "negative_count")
    epochs = 4


class TestLogistic(PipelineContract):
    family_name = "flexmf-implicit"
    config: ClassVar = {"embedding_size": 5, "batch_size": 200, "reg_method": "L2"}
    typo = ("positiv_weight", "positive_weight")
    epochs = 4


class TestWARP(PipelineContract):
    family_name = "flexmf-implicit"
    config: ClassVar = {"loss": "warp", "embedding_size": 4, "batch_size": 400, "reg_method": None}
    typo = ("los", "loss")
    epochs = 3


class TestConvolution(PipelineContract):
    family_name = "flexmf-implicit"
    config: ClassVar = {
        "loss": "pairwise",
        "embedding_size": 4,
        "batch_size": 400,
        "convolution_layers": 2,
    }
    typo = ("convolution_layer", "convolution_layers")
    epochs = 3


class TestLightGCN(PipelineContract):
    family_name = "lightgcn"
    config: ClassVar = {"embedding_size": 4, "batch_size": 400, "layer_count": 2}
    typo = ("layer_cont", "layer_count")
    epochs = 3


class TestLightGCNLogistic(PipelineContract):
    family_name = "lenskit.graphs:LightGCNScorer"
    config: ClassVar = {"embedding_size": 4, "batch_size": 400, "loss": "logistic"}
    string_ids = True
    typo = ("layer_cont", "layer_count")
    epochs = 2


def trained(split: Split, cls: str, config: dict[str, Any], epochs: int) -> tuple[Any, list[float]]:
    """LensKit's own scorer after ``epochs`` of its own trainer, and the losses."""
    from lenskit import flexmf
    from lenskit.training import TrainingOptions

    scorer = getattr(flexmf, cls)(**config)
    options = TrainingOptions(rng=7, device="cpu", environment={"LK_TORCH_COMPILE": "0"})
    trainer = scorer.create_trainer(dataset(split), options)
    losses = [trainer.train_epoch()["loss"] for _ in range(epochs)]
    if config.get("convolution_layers"):
        # LensKit scores with the layers from before its last step.
        scorer.model.update_convolution(trainer.data.ui_matrix, trainer.data.iu_matrix)
    trainer.finalize()
    return scorer, losses


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("flexmf-explicit", {"reg_method": "AdamW"}),
        ("flexmf-explicit", {"reg_method": "L2"}),
        ("flexmf-implicit", {"loss": "pairwise", "negative_count": 2, "regularization": 0.3}),
        ("flexmf-implicit", {"loss": "logistic", "positive_weight": 3.0, "reg_method": None}),
        ("flexmf-implicit", {"loss": "warp", "reg_method": "L2"}),
        ("flexmf-implicit", {"loss": "pairwise", "convolution_layers": 2}),
    ],
)
def test_numbers_are_lenskits_bit_for_bit(name: str, config: dict[str, Any]) -> None:
    from lenskit.data import ItemList

    split, family = make_split(), resolve(name)
    given = {"embedding_size": 5, "batch_size": 250, **config}
    model = family.create(family.complete(given), split, 7)
    scorer, losses = trained(split, family.class_path.rpartition(":")[2], given, 3)
    # Of WARP the gradients are LensKit's, and the loss but for the order of its sum.
    exact = {} if config.get("loss") == "warp" else {"rel": 0, "abs": 0}
    assert [model.train_epoch()["loss"] for _ in losses] == pytest.approx(losses, **exact)
    stored = model.state()["model"].tensors
    assert (
        stored["user_embeddings"].tobytes()
        == scorer.model.u_embed.weight.numpy(force=True).tobytes()
    )
    assert (
        stored["item_embeddings"].tobytes()
        == scorer.model.i_embed.weight.numpy(force=True).tobytes()
    )
    users = np.array([0, 1, 2, 9])
    for user, line in zip(users, model.scores(users), strict=True):
        theirs = scorer(split.user_ids[user].item(), ItemList(split.item_ids.copy())).scores()
        np.testing.assert_allclose(line, theirs, rtol=1e-5, atol=1e-6)


def test_lenskits_own_checkpoint_does_not_continue_and_ours_does() -> None:
    """The parameters alone, which is what LensKit saves, lead elsewhere."""
    split, family = make_split(), resolve("flexmf-implicit")
    config = family.complete({"loss": "pairwise", "embedding_size": 5, "batch_size": 250})
    straight = family.create(config, split, 7)
    straight.train_epoch()
    state = straight.state()
    straight.train_epoch()
    expected = straight.state()["model"].tensors["user_embeddings"]
    resumed = family.create(config, split, 7)
    resumed.load_state(state)
    resumed.train_epoch()
    assert resumed.state()["model"].tensors["user_embeddings"].tobytes() == expected.tobytes()
    for lost in ("optimizer", "rng"):
        poor = {**state, lost: family.create(config, split, 7).state()[lost]}
        other = family.create(config, split, 7)
        other.load_state(poor)
        other.train_epoch()
        difference = other.state()["model"].tensors["user_embeddings"] - expected
        assert np.abs(difference).max() > 1e-3, lost


def test_rows_of_sparse_steps_are_handed_to_the_store() -> None:
    """Every row that differs is named; users and items without samples are not."""
    split, family = make_split(n_items=400), resolve("flexmf-explicit")
    model = family.create(family.complete({"embedding_size": 3, "batch_size": 250}), split, 1)
    before = model.state()
    model.train_epoch()
    after = model.state()
    for part in ("model", "optimizer"):
        for name, array in after[part].tensors.items():
            changed = np.flatnonzero((array != before[part].tensors[name]).any(axis=1))
            assert set(changed) <= set(after[part].touched[name].tolist()), name
    assert 1 not in after["model"].touched["user_embeddings"]
    assert split.n_items - 1 not in after["model"].touched["item_embeddings"]


def test_dense_steps_touch_all_rows_and_name_none() -> None:
    split, family = make_split(), resolve("flexmf-implicit")
    model = family.create(family.complete({"embedding_size": 3}), split, 1)
    model.train_epoch()
    assert not model.state()["model"].touched


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"loss": "pairwise", "convolution_layers": 1, "reg_method": "L2"}, "convolution_layers"),
        ({"loss": "warp", "negative_strategy": "uniform"}, "misranked"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"regularization": -1.0}, "regularization"),
        ({"batch_size": 0}, "batch_size"),
        ({"loss": "hinge"}, "loss"),
        ({"epochs": 3}, "max_epochs"),
    ],
)
def test_a_configuration_that_cannot_train_is_refused(config: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve("flexmf-implicit").complete(config)
    assert word in f"{caught.value.message} {caught.value.hint}"


def test_presets_and_what_the_loss_decides_are_written_out() -> None:
    complete = resolve("flexmf-implicit").complete
    assert complete({"preset": "bpr"}) == complete(
        {"loss": "pairwise", "user_bias": False, "item_bias": False}
    )
    assert complete({"loss": "warp"})["negative_strategy"] == "misranked"
    assert complete({})["user_bias"] is True


def test_a_state_of_another_optimizer_is_refused() -> None:
    split, family = make_split(), resolve("flexmf-explicit")
    sparse = family.create(family.complete({"embedding_size": 3}), split, 1)
    dense = family.create(family.complete({"embedding_size": 3, "reg_method": "AdamW"}), split, 1)
    with pytest.raises(UsageError, match="SparseAdam"):
        dense.load_state(sparse.state())


def test_larger_models_and_more_negatives_cost_more() -> None:
    split, family = make_split(), resolve("flexmf-implicit")

    def flops(**config: Any) -> float:
        return family.work(family.complete({"loss": "pairwise", **config}), split).flops

    assert flops(embedding_size=128) == pytest.approx(2 * flops(embedding_size=64))
    assert flops(negative_count=4) > flops(negative_count=1)
    assert flops(convolution_layers=2) > flops(convolution_layers=1) > flops()


@pytest.mark.parametrize("samples", [1, 2, 3, 31, 33, 256, 2000])
@pytest.mark.parametrize("equal", [True, False])
def test_the_loss_of_warp_has_lenskits_gradients_bit_for_bit(samples: int, equal: bool) -> None:
    import torch
    from lenskit.flexmf._implicit import _loss_warp

    generator = torch.Generator().manual_seed(samples)
    positive, negative = (
        torch.randn(samples, 1, generator=generator, requires_grad=True) for _ in range(2)
    )
    weights = torch.full((samples,), 4.321, dtype=torch.float64)
    if not equal:
        weights = torch.rand(samples, generator=generator, dtype=torch.float64)
    theirs = _loss_warp(positive, negative, 1.0, weights)
    wanted = torch.autograd.grad(theirs, (positive, negative))
    ours = in_one_row(_loss_warp)(positive, negative, 1.0, weights)
    found = torch.autograd.grad(ours, (positive, negative))
    assert all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)


def test_a_corrected_loss_of_warp_is_left_alone() -> None:
    import torch

    column = torch.zeros(3, 1)
    loss = in_one_row(lambda positive, negative, weight, weights: torch.tensor(7.0))
    assert loss(column, column, 1.0, torch.ones(3, 1)) == 7.0, "weights of the shape of the losses"
    assert loss(column, torch.zeros(3, 2), 1.0, torch.ones(3)) == 7.0
    assert loss(column, column, 1.0, None) == 7.0


def test_warp_of_the_installed_lenskit_is_judged_by_what_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family = resolve("flexmf-implicit")
    plain = family.complete({"loss": "pairwise", "user_bias": False, "item_bias": False})
    warp = {**plain, "loss": "warp", "negative_strategy": "misranked"}
    assert family.warning(plain) is None
    assert "WARP" in (family.warning(warp) or "")
    assert not defects.finds_misranked()

    def right(trainer: Any, batch: Any, users: Any, positives: Any) -> Any:
        candidates = batch.data.interactions.sample_negatives()
        scores, _ = trainer.score(users, candidates)
        return candidates[0][scores[0].argmax() : scores[0].argmax() + 1], None

    from lenskit.flexmf import _implicit

    monkeypatch.setattr(_implicit.FlexMFWARPTrainer, "scored_negatives", right)
    defects.warp_warning.cache_clear()
    assert defects.finds_misranked()
    assert family.warning(warp) is None
    monkeypatch.undo()
    defects.warp_warning.cache_clear()
    monkeypatch.setattr(defects, "version", lambda name: "2026.3.0")
    assert defects.warp_warning() is None
    defects.warp_warning.cache_clear()


def test_biases_of_the_installed_lenskit_are_never_used() -> None:
    assert not defects.biases_are_learned()
    assert "user_bias" in (resolve("flexmf-explicit").warning({}) or "")


def test_layers_of_the_installed_lightgcn_pass_nothing_on() -> None:
    """What its warning says; should LensKit mend it, this fails and the warning goes."""
    split, family = make_split(), resolve("lightgcn")
    model = family.create(family.complete({"embedding_size": 4, "layer_count": 3}), split, 1)
    model.train_epoch()
    vectors = model.state()["model"].tensors["embeddings"]
    np.testing.assert_allclose(
        model.state()["propagated"].tensors["item_embeddings"],
        vectors[: split.n_items] / 4,
        rtol=1e-6,
    )
    assert "gradient" in (family.warning({}) or "")


def test_without_torch_geometric_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    with pytest.raises(UsageError) as caught:
        resolve("lightgcn").complete({})
    assert "pip install 'recsearch[gnn]'" in str(caught.value.hint)


def test_the_data_set_is_built_once_for_every_split() -> None:
    from recsearch.models.per_split import training_data

    splits = [make_split(seed=seed) for seed in (1, 2)]
    first = [training_data(split) for split in splits]
    family = resolve("flexmf-explicit")
    for split in splits:
        family.create(family.complete({"embedding_size": 2}), split, 1)
    assert all(training_data(split) is data for split, data in zip(splits, first, strict=True))


def test_memory_grows_with_the_ratings() -> None:
    few, many = make_split(seed=1), make_split(seed=1, n_users=200)
    for name in ("flexmf-explicit", "funksvd", "iknn-implicit", "slim"):
        family = resolve(name)
        config = family.complete({})
        grown = family.work(config, many).peak_bytes - family.work(config, few).peak_bytes
        assert grown >= 150 * (len(many.train.items) - len(few.train.items)), name


def test_settings_that_contradict_are_told_without_an_empty_key() -> None:
    with pytest.raises(UsageError, match=r"^flexmf-implicit: misrank negatives only works with"):
        resolve("flexmf-implicit").complete({"loss": "warp", "negative_count": 3})


def test_weights_of_layers_are_refused_where_lenskit_cannot_use_them() -> None:
    pytest.importorskip("torch_geometric")
    with pytest.raises(UsageError, match="no list fits both"):
        resolve("lightgcn").complete({"layer_count": 2, "layer_blend": [0.5, 0.5]})


@pytest.mark.parametrize("size", [2, 3, 16, 33, 64, 192, 300])
@pytest.mark.parametrize("samples", [1, 2, 3, 4, 257, 1000])
def test_blocks_have_the_bits_of_the_whole_batch(
    size: int, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores and gradients, of blocks that end anywhere; positives and negatives at once."""
    import torch
    from lenskit.flexmf._model import FlexMFModel

    generator = torch.Generator().manual_seed(1000 * size + samples)
    model = FlexMFModel(size, 40, 30, generator, user_bias=False, item_bias=False)
    config = SimpleNamespace(reg_method="AdamW")
    scores = blocks.in_blocks(SimpleNamespace(model=model, config=config, device="cpu"))
    assert scores is not None
    users = torch.randint(0, 40, (samples, 1), generator=generator, dtype=torch.int32)
    for negatives in (1, 4, 5, 8, 15, 18):
        shape = (samples, negatives)
        items = torch.randint(0, 30, shape, generator=generator, dtype=torch.int32)
        weights = torch.randn(shape, generator=generator)
        parameters = model.u_embed.weight, model.i_embed.weight

        def one(call: Any) -> tuple[Any, ...]:
            loss = (call(users, items, return_norm=False) * weights).mean()  # noqa: B023
            loss = loss + call(users, items[:, :1], return_norm=False).sum()  # noqa: B023
            return loss, *torch.autograd.grad(loss, parameters)  # noqa: B023

        wanted = one(model)
        for block in (1, 100, 2000, 2**16):
            monkeypatch.setattr(blocks, "BLOCK_FLOATS", block)
            for ours, theirs in zip(one(scores), wanted, strict=True):
                assert torch.equal(ours, theirs), (negatives, block)


@pytest.mark.parametrize(
    "config",
    [{"reg_method": "L2"}, {"reg_method": None}, {"convolution_layers": 1, "loss": "pairwise"}],
)
def test_what_is_more_than_dot_products_is_left_to_lenskit(config: dict[str, Any]) -> None:
    family = resolve("flexmf-implicit")
    model = family.create(family.complete({"embedding_size": 3, **config}), make_split(), 1)
    assert blocks.in_blocks(model._training._trainer) is None  # type: ignore[attr-defined]
