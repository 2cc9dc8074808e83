"""The solver on PyTorch: against float64 algebra and the compiled one, on torch's CPU device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from model_splits import make_split
from test_als_solver import LENGTHS, random_matrix, reference, vectors

from recsearch.data import Split
from recsearch.errors import RecsearchError, UsageError
from recsearch.identity import derive_seed
from recsearch.measuring import measure
from recsearch.models import devices, resolve
from recsearch.models.als import torch_solver
from recsearch.models.als.model import ALSModel, Solvers
from recsearch.models.als.solver import RidgeSolver
from recsearch.models.als.torch_solver import TorchRidgeSolver
from recsearch.models.devices import count_gpus, need_device
from recsearch.plan import trial_key
from recsearch.verification import verify

HERE = "cpu"
NO_CUDA = "this machine has no CUDA device that PyTorch sees"


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.sampled_from([1, 7, 16, 20, 60]), st.booleans(), st.booleans())
def test_equals_float64_algebra(lengths: list[int], d: int, scaled: bool, per_entry: bool) -> None:
    matrix, other = random_matrix(lengths, scaled=scaled), vectors(45, d)
    found = TorchRidgeSolver(matrix.rows(), d, HERE).solve(other, 0.3, per_entry=per_entry)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(matrix, other, 0.3, per_entry), atol=2e-4)


@pytest.mark.parametrize("d", [1, 8, 33])
def test_equals_the_compiled_solver_on_both_sides(d: int) -> None:
    lengths = np.random.default_rng(3).integers(0, 46, 150).tolist()
    matrix = random_matrix(lengths, scaled=True)
    for rows, n in ((matrix.rows(), 45), (matrix.by_column(), len(lengths))):
        other = vectors(n, d)
        found, expected = (
            solver.solve(other, 0.1, per_entry=True)
            for solver in (TorchRidgeSolver(rows, d, HERE), RidgeSolver(rows, d))
        )
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_short_rows_beside_longer_ones_stay_exact() -> None:
    """Rows with fewer entries than dimensions have the n x n form, whatever is in their batch."""
    lengths = [38] * 20 + [43]
    matrix, other = random_matrix(lengths), vectors(45, 43)
    found = TorchRidgeSolver(matrix.rows(), 43, HERE).solve(other, 1e-5, per_entry=True)
    expected = reference(matrix, other, 1e-5, per_entry=True)
    short = np.array(lengths) < 43
    scale = np.abs(expected[short]).max()
    assert np.abs(found - expected)[short].max() < 1e-4 * scale


def test_small_batches_give_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, other = random_matrix([5, 5, 6, 0, 6, 40, 40, 1], scaled=True).rows(), vectors(45, 8)
    whole = TorchRidgeSolver(rows, 8, HERE)
    monkeypatch.setattr(torch_solver, "MOST_ROWS", 1)
    single = TorchRidgeSolver(rows, 8, HERE)
    assert len(whole._batches) < len(single._batches) == 7
    for reg in (0.1, 2.0):
        np.testing.assert_allclose(
            single.solve(other, reg, per_entry=True),
            whole.solve(other, reg, per_entry=True),
            atol=2e-6,
        )


def test_batches_hold_no_more_than_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_matrix([20] * 40 + [3] * 90).rows()
    monkeypatch.setattr(torch_solver, "HOST_FLOATS", 20 * 8 * 5)
    for batch in TorchRidgeSolver(rows, 8, HERE)._batches:
        assert batch.columns.numel() * 8 <= 20 * 8 * 5


def test_the_share_of_a_gpu_follows_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        total_memory = 16 << 30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    assert torch_solver._batch_floats(torch.device("cuda")) == 1 << 25
    Properties.total_memory = 1 << 40
    assert torch_solver._batch_floats(torch.device("cuda")) == torch_solver.MOST_FLOATS


def test_rows_without_entries_get_the_zero_vector() -> None:
    rows = random_matrix([0, 3, 0]).rows()
    found = TorchRidgeSolver(rows, 5, HERE).solve(vectors(45, 5), 0.1, per_entry=True)
    assert not found[[0, 2]].any()
    assert found[1].any()
    empty = random_matrix([0, 0]).rows()
    assert not TorchRidgeSolver(empty, 5, HERE).solve(vectors(45, 5), 0.1, per_entry=True).any()


@pytest.mark.parametrize("lengths", [[3], [30], [30, 3, 0, 5]])
def test_equations_beyond_float32_are_solved_as_on_the_cpu(lengths: list[int]) -> None:
    rows = random_matrix(lengths).rows()
    other = np.repeat(vectors(1, 6), 45, axis=0)  # one direction only: singular without reg
    found = TorchRidgeSolver(rows, 6, HERE).solve(other, 1e-9, per_entry=False)
    expected = reference(random_matrix(lengths), other, 1e-9, per_entry=False)
    np.testing.assert_allclose(found @ other[0], expected @ other[0], rtol=1e-3)


def test_singular_equations_say_so() -> None:
    rows = random_matrix([4]).rows()
    with pytest.raises(RecsearchError, match=r"row 0 .* increase the regularization"):
        TorchRidgeSolver(rows, 6, HERE).solve(
            np.zeros((45, 6), dtype=np.float32), 0.0, per_entry=False
        )


def test_not_a_number_stays_not_a_number() -> None:
    other = np.full((45, 6), np.nan, dtype=np.float32)
    rows = random_matrix([4, 9]).rows()
    assert np.isnan(TorchRidgeSolver(rows, 6, HERE).solve(other, 0.1, per_entry=True)).all()


def test_a_full_memory_is_an_error_that_can_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = TorchRidgeSolver(random_matrix([4]).rows(), 6, HERE)

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(torch_solver, "_solve_batch", full)
    with pytest.raises(RecsearchError, match=r"memory of cpu is full(.|\n)*--workers 1"):
        solver.solve(vectors(45, 6), 0.1, per_entry=True)


def test_products_are_not_shortened_and_the_setting_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    solver, seen = TorchRidgeSolver(random_matrix([4]).rows(), 6, HERE), []
    solve = torch_solver._solve_batch

    def noting(*arguments: Any) -> Any:
        seen.append(torch.get_float32_matmul_precision())
        return solve(*arguments)

    monkeypatch.setattr(torch_solver, "_solve_batch", noting)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        solver.solve(vectors(45, 6), 0.1, per_entry=True)
        assert seen == ["highest"]
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


CONFIGS = {
    "als": {"regularization": {"user": 0.08, "item": 0.03}, "damping": {"user": 1.5, "item": 7}},
    "als-implicit": {"regularization": {"user": 0.2, "item": 0.1}, "weight": 8},
    "als-implicit by rating": {"regularization": 0.2, "weight": 3, "use_ratings": True},
}


def model_on_torch(name: str, size: int, split: Split) -> tuple[ALSModel, ALSModel]:
    """A model on the compiled solver, and the same one on torch."""
    family = resolve(name.partition(" ")[0])
    config = family.complete({"embedding_size": size, **CONFIGS[name]})
    compiled, model = (family.create(config, split, 11) for _ in range(2))
    assert isinstance(compiled, ALSModel)
    assert isinstance(model, ALSModel)
    solvers = model._solvers
    assert solvers is not None
    model._solvers = Solvers(
        TorchRidgeSolver(solvers.users.rows, size, HERE),
        TorchRidgeSolver(solvers.items.rows, size, HERE),
    )
    return compiled, model


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("size", [8, 100])
def test_models_follow_those_on_the_compiled_solver(name: str, size: int) -> None:
    split = make_split(90, 120, seed=4)
    compiled, model = model_on_torch(name, size, split)
    for _ in range(3):
        compiled.train_epoch()
        model.train_epoch()
    users = np.arange(split.n_users)
    np.testing.assert_allclose(model.scores(users), compiled.scores(users), atol=5e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_equal_bits_after_a_stop(name: str) -> None:
    split = make_split()
    _, model = model_on_torch(name, 6, split)
    model.train_epoch()
    state = model.state()
    model.train_epoch()
    _, resumed = model_on_torch(name, 6, split)
    resumed.load_state(state)
    resumed.train_epoch()
    assert resumed.item_embeddings.tobytes() == model.item_embeddings.tobytes()
    assert resumed.user_embeddings.tobytes() == model.user_embeddings.tobytes()


def test_a_singular_background_says_so() -> None:
    solver = TorchRidgeSolver(random_matrix([4]).rows(), 6, HERE)
    with pytest.raises(RecsearchError, match=r"background matrix is singular"):
        solver.solve_on_background(np.zeros((45, 6), dtype=np.float32), 0.0, 1.0)


@pytest.fixture
def gpu_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PyTorch that sees a GPU; nothing here computes on it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("gpu_seen")
@pytest.mark.parametrize("name", ["als", "als-implicit"])
def test_trials_on_another_device_have_keys_of_their_own(name: str) -> None:
    split, family = make_split(), resolve(name)
    config = family.complete({})
    assert family.device == "cpu"
    assert "torch" not in family.versions()
    there = family.on("cuda")
    assert there.device == "cuda"
    assert family.device == "cpu"
    assert there.versions()["torch"]
    key, other = (trial_key(f, config, split, 1, ("RMSE",)) for f in (family, there))
    assert key != other
    assert key == trial_key(there.on("cpu"), config, split, 1, ("RMSE",))


@pytest.mark.usefixtures("gpu_seen")
def test_families_without_a_gpu_path_refuse_it() -> None:
    for name in ("bias", "popular"):
        assert resolve(name).on("cpu") is resolve(name)
        with pytest.raises(UsageError, match=r"on the cpu only(.|\n)*without --device"):
            resolve(name).on("cuda")
    with pytest.raises(UsageError, match="expected one of cpu, cuda"):
        need_device("tpu")


def test_without_a_gpu_the_command_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from recsearch.cli import main

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"device cuda: PyTorch(.|\n)*without --device"):
        resolve("als").on("cuda")
    with pytest.raises(SystemExit) as left:
        main(["search", "als", "demo", "--device", "cuda", "-q"])
    assert left.value.code == 2
    assert not list(tmp_path.iterdir()), "nothing is written"


def test_the_option_is_listed() -> None:
    from recsearch.cli import cli

    shown = CliRunner().invoke(cli, ["search", "--help"]).output
    assert "--device [cpu|cuda]" in shown


def test_a_run_of_another_device_is_verified_there_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    document = {"model": "als", "device": "cuda"}
    with pytest.raises(UsageError, match="trained on cuda, so it can only be verified there"):
        verify(document)


def test_no_gpu_is_counted_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert (count_gpus("cpu"), count_gpus("cuda")) == (0, 3)
    assert devices.DEVICES == ("cpu", "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)
@pytest.mark.parametrize("name", ["als", "als-implicit"])
def test_on_a_real_gpu(name: str) -> None:
    split = make_split(90, 120, seed=4)
    family = resolve(name)
    config = family.complete({"embedding_size": 40, **CONFIGS[name]})
    seed = derive_seed(7, "init")
    here, there, again = (
        f.create(config, split, seed) for f in (family, family.on("cuda"), family.on("cuda"))
    )
    for _ in range(3):
        for model in (here, there, again):
            model.train_epoch()
    ours, theirs = (measure(m, family, split, (family.default_metric,)) for m in (here, there))
    assert ours == pytest.approx(theirs, abs=1e-3)
    first, second = there.state()["model"], again.state()["model"]
    for tensor, array in first.tensors.items():
        assert array.tobytes() == second.tensors[tensor].tobytes()


@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)
@pytest.mark.parametrize("d", [5, 48, 130])
def test_a_real_gpu_equals_float64_algebra(d: int) -> None:
    lengths = np.random.default_rng(3).integers(0, 46, 150).tolist()
    matrix, other = random_matrix(lengths, scaled=True), vectors(45, d)
    found = TorchRidgeSolver(matrix.rows(), d, "cuda").solve(other, 0.3, per_entry=True)
    np.testing.assert_allclose(found, reference(matrix, other, 0.3, True), atol=2e-4)
