"""The PyTorch hook: a training that was stopped anywhere ends with the same bits as a straight one.

Every run saves under the same key into the same store, which refuses another state for an epoch
that it has: a difference of a single bit in parameters, optimizer, scheduler or generators would
raise in `save`.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsearch.errors import StoreDamagedError, StoreError, UsageError, VerificationError
from recsearch.state import Part
from recsearch.store import Checkpointer, Store, Vocabulary
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend
from recsearch.store.pack import Place
from recsearch.store.tensors import flatten, unflatten

KEY = "ab" * 32
EPOCHS = 5
ROWS = 2000


@pytest.fixture
def store() -> Store:
    return Store.on(MemoryBackend())


class Dense(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(6, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.last = torch.nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.nn.functional.dropout(self.norm(self.first(x)), 0.3, self.training))


class Factors(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.users = torch.nn.Embedding(ROWS, 4, sparse=True)
        self.items = torch.nn.Embedding(ROWS // 2, 4, sparse=True)

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(self.users(users) * self.items(items), 0.1).sum(-1)


class Training:
    """A loop whose every object is made anew with other random numbers."""

    def __init__(self, name: str, seed: int, device: str = "cpu"):
        torch.manual_seed(seed)
        make, optimizer, scheduler = TRAININGS[name]
        self.device = device
        self.model = make().to(device)
        self.optimizer = optimizer(list(self.model.parameters()))
        self.scheduler = scheduler(self.optimizer)
        self.draws = np.random.default_rng(seed)
        self.order = torch.Generator().manual_seed(seed)
        self.shuffle = random.Random(seed)  # noqa: S311 - as users do
        self.scaler = torch.amp.GradScaler(device)

    def objects(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "schedulers": [self.scheduler],
            "scaler": self.scaler,
            "order": self.order,
            "numpy": self.draws,
            "python": self.shuffle,
        }

    def epoch(self) -> None:
        for _ in range(3):
            self.optimizer.zero_grad()
            if isinstance(self.model, Factors):
                users = torch.from_numpy(self.draws.integers(0, ROWS, 16))
                items = torch.tensor(self.shuffle.choices(range(ROWS // 2), k=16))
                loss = (
                    (self.model(users.to(self.device), items.to(self.device)) - 1).square().mean()
                )
            else:
                x = torch.from_numpy(self.draws.normal(size=(16, 6)))
                x = x[torch.randperm(16, generator=self.order)].to(self.model.last.weight)
                loss = (self.model(x) + self.shuffle.random()).square().mean()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(loss.item())
        else:
            self.scheduler.step()


lr = torch.optim.lr_scheduler
TRAININGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sgd": (
        Dense,
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        lambda o: lr.MultiStepLR(o, [2, 4]),
    ),
    "adam": (
        Dense,
        lambda p: torch.optim.Adam([{"params": p[:2]}, {"params": p[2:], "lr": 0.1}], amsgrad=True),
        lambda o: lr.OneCycleLR(o, 0.1, total_steps=10),
    ),
    "adamw-bf16": (
        lambda: Dense().to(torch.bfloat16),
        lambda p: torch.optim.AdamW(p, lr=0.01),
        lambda o: lr.ReduceLROnPlateau(o, patience=0),
    ),
    "sparse": (
        Factors,
        lambda p: torch.optim.SparseAdam(p, lr=0.05),
        lambda o: lr.SequentialLR(
            o, [lr.ConstantLR(o, 0.5, 2), lr.CosineAnnealingLR(o, 8)], milestones=[2]
        ),
    ),
    "adagrad": (
        Dense,
        lambda p: torch.optim.Adagrad(p, lr=0.05, initial_accumulator_value=0.1),
        lambda o: lr.LambdaLR(o, lambda epoch: 0.9**epoch),
    ),
}


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("name", TRAININGS)
def test_a_straight_run_equals_one_resumed_after_any_epoch(
    store: Store, name: str, device: str
) -> None:
    straight = Training(name, 1, device)
    with Checkpointer(store, KEY, **straight.objects()) as keeper:
        assert keeper.resume() == 1
        for epoch in range(1, EPOCHS + 1):
            straight.epoch()
            keeper.save(epoch, {"loss": epoch})
    for stopped in range(1, EPOCHS):
        resumed = Training(name, 100 + stopped, device)
        with Checkpointer(store, KEY, **resumed.objects()) as keeper:
            assert keeper.resume(stopped) == stopped + 1
            for epoch in range(stopped + 1, EPOCHS + 1):
                resumed.epoch()
                assert keeper.save(epoch).stored_bytes == 0
        for a, b in zip(straight.model.parameters(), resumed.model.parameters(), strict=True):
            assert torch.equal(a, b)
    other = Training(name, 1)
    with Checkpointer(store, KEY, **other.objects()) as keeper:
        keeper.resume(2)
        other.draws.random()  # a single number drawn more
        other.epoch()
        with pytest.raises(StoreError, match="another content"):
            keeper.save(3)


def test_a_damaged_epoch_is_set_aside_and_trained_again(tmp_path: Path) -> None:
    straight = Training("adam", 1)
    with Store.open(tmp_path) as store, Checkpointer(store, KEY, **straight.objects()) as keeper:
        for epoch in (1, 2, 3):
            straight.epoch()
            keeper.save(epoch)
        damaged = store.read(KEY, 3).parts["model"].tensors["last.weight"].blocks[0][0]
    _flip(tmp_path, damaged)
    with Store.open(tmp_path) as store:
        again = Training("adam", 2)
        with Checkpointer(store, KEY, **again.objects()) as keeper:
            with pytest.raises(StoreDamagedError, match="nearest intact epoch is 2"):
                keeper.resume(3)
            with pytest.warns(UserWarning, match="epoch 3 is damaged and was set aside"):
                assert keeper.resume() == 3
            again.epoch()
            keeper.save(3)
        for a, b in zip(straight.model.parameters(), again.model.parameters(), strict=True):
            assert torch.equal(a, b)
        places = set().union(*(store.read(KEY, epoch).places for epoch in (1, 2, 3)))
    for place in places:
        _flip(tmp_path, place)
    with (
        Store.open(tmp_path) as store,
        Checkpointer(store, KEY, **again.objects()) as keeper,
        pytest.warns(UserWarning),
        pytest.raises(StoreDamagedError),
    ):
        keeper.resume()


def _flip(root: Path, place: Place) -> None:
    path = root / Layout.pack(place.pack)
    data = bytearray(path.read_bytes())
    data[place.offset] ^= 1
    path.write_bytes(data)


def test_touched_rows_are_noted_and_stored(store: Store) -> None:
    training = Training("sparse", 1)
    names = ["users.weight", "items.weight"]
    sizes = []
    with Checkpointer(store, KEY, track_rows=names, **training.objects()) as keeper:
        for epoch in range(1, EPOCHS + 1):
            training.epoch()
            sizes.append(keeper.save(epoch).stored_bytes)
        with torch.no_grad():
            training.model(torch.arange(ROWS), torch.zeros(ROWS, dtype=torch.long))
        assert not keeper._seen["users.weight"].any()  # a look without gradients changes nothing
    table = ROWS * 4 * 4
    assert sizes[0] > 3 * 1.5 * table  # both tables, twice more in the optimizer
    assert max(sizes[1:]) < sizes[0] / 4
    optimizer = store.read(KEY, 3).parts["optimizer"].tensors
    for entry in (
        store.read(KEY, 3).parts["model"].tensors["users.weight"],
        optimizer["state/users.weight/exp_avg"],
        optimizer["state/items.weight/exp_avg_sq"],
    ):
        assert len(entry.patches) == 2, entry
    again = Training("sparse", 9)
    with Checkpointer(store, KEY, track_rows=names, **again.objects()) as keeper:
        keeper.resume(2)
        again.epoch()
        ref = keeper.save(3).ref
        assert ref == store.read(KEY, 3).ref


def test_touched_rows_may_be_handed_in(store: Store) -> None:
    training = Training("sparse", 1)
    with Checkpointer(store, KEY, **training.objects()) as keeper:
        keeper.save(1)
        ids = torch.tensor([5, 3, 5])
        with torch.no_grad():
            training.model.users.weight[ids] += 1
        keeper.save(2, touched={"users.weight": ids})
        assert len(store.read(KEY, 2).parts["model"].tensors["users.weight"].patches) == 1
        with pytest.raises(UsageError, match=r"no parameter: 'user\.weight'"):
            keeper.save(3, touched={"user.weight": ids})
        with torch.no_grad():
            training.model.users.weight += 1
        with pytest.raises(StoreError, match="without being among the touched ones"):
            keeper.save(3, touched={"users.weight": ids})
        keeper.save(3)
    restored = store.restore(KEY, 3)["model"].tensors["users.weight"]
    assert np.array_equal(restored, training.model.users.weight.detach().numpy())


def test_only_sparse_embeddings_can_be_tracked(store: Store) -> None:
    model = torch.nn.ModuleDict({"a": torch.nn.Embedding(9, 2), "b": torch.nn.Linear(2, 2)})
    for name in ("a.weight", "b.weight", "c.weight"):
        with pytest.raises(UsageError, match=f"track_rows: '{name}' is not the weight of"):
            Checkpointer(store, KEY, model=model, track_rows=[name])


def test_parameters_are_restored_in_place_and_state_is_made_without_a_step(store: Store) -> None:
    training = Training("adam", 1)
    training.epoch()
    with Checkpointer(store, KEY, **training.objects()) as keeper:
        keeper.save(1)
    fresh = Training("adam", 2)
    # A parameter that is no C-contiguous array cannot be read into, and is filled all the same.
    fresh.model.first.weight = torch.nn.Parameter(torch.empty(6, 8).t())
    fresh.optimizer.param_groups[0]["params"][0] = fresh.model.first.weight
    places = {name: p.data_ptr() for name, p in fresh.model.named_parameters()}
    with Checkpointer(store, KEY, **fresh.objects()) as keeper:
        assert fresh.optimizer.state == {}
        assert keeper.resume() == 2
    assert places == {name: p.data_ptr() for name, p in fresh.model.named_parameters()}
    for old, new in zip(training.model.parameters(), fresh.model.parameters(), strict=True):
        assert torch.equal(old, new)
        for field, value in training.optimizer.state[old].items():
            assert torch.equal(fresh.optimizer.state[new][field], value)


def test_optimizer_state_follows_names_and_keeps_its_dtype(store: Store) -> None:
    def make(seed: int, *, turned: bool) -> tuple[Any, Any]:
        torch.manual_seed(seed)
        model = Dense().to(torch.bfloat16)
        parameters = list(model.parameters())
        optimizer = torch.optim.SGD(parameters[::-1] if turned else parameters, 0.1, momentum=0.9)
        return model, optimizer

    model, optimizer = make(1, turned=False)
    model(torch.randn(8, 6, dtype=torch.bfloat16)).sum().backward()
    optimizer.step()
    master = {
        name: torch.randn_like(p, dtype=torch.float32) for name, p in model.named_parameters()
    }
    for name, parameter in model.named_parameters():
        optimizer.state[parameter]["master"] = master[name]
    with Checkpointer(store, KEY, model=model, optimizer=optimizer) as keeper:
        keeper.save(1)
    other, turned = make(2, turned=True)
    with Checkpointer(store, KEY, model=other, optimizer=turned) as keeper:
        keeper.resume()
    for (name, parameter), old in zip(other.named_parameters(), model.parameters(), strict=True):
        assert parameter.dtype == torch.bfloat16
        assert torch.equal(parameter, old)
        state = turned.state[parameter]
        assert state["master"].dtype == torch.float32
        assert torch.equal(state["master"], master[name])
        assert torch.equal(state["momentum_buffer"], optimizer.state[old]["momentum_buffer"])


def test_what_does_not_fit_is_refused_and_nothing_changed(store: Store) -> None:
    training = Training("sgd", 1)
    training.epoch()
    with Checkpointer(store, KEY, **training.objects()) as keeper:
        keeper.save(1)

    def refuse(words: str, **changed: Any) -> None:
        objects = Training("sgd", 2).objects() | changed
        before = [p.clone() for p in objects["model"].parameters()]
        with (
            Checkpointer(store, KEY, **objects) as keeper,
            pytest.raises(VerificationError, match=words) as caught,
        ):
            keeper.resume()
        assert caught.value.exit_code == 3
        for old, now in zip(before, objects["model"].parameters(), strict=True):
            assert torch.equal(old, now)

    renamed = Dense()
    renamed.end = renamed.last
    del renamed.last
    refuse(r"(?s)missing: model/end\.weight.*unexpected: model/last\.bias", model=renamed)
    wider = Dense()
    wider.last = torch.nn.Linear(8, 2)
    refuse(r"model/last\.weight: stored as <f4 \[1, 8\], wanted as <f4 \[2, 8\]", model=wider)
    half = Dense()
    half.last = half.last.half()
    refuse("stored as <f4", model=half)
    model = Dense()
    refuse(
        "state of SGD is stored, Adam is to be restored",
        model=model,
        optimizer=torch.optim.Adam(model.parameters()),
    )
    refuse(
        r"differ in \['first\.bias', 'first\.weight'\]",
        model=model,
        optimizer=torch.optim.SGD(list(model.parameters())[2:], 0.1, momentum=0.9),
    )
    refuse("1 are stored, 0 to be restored", schedulers=[])
    refuse("to be restored are .*more", more=Dense())


def test_words_of_the_same_width_are_not_mistaken_for_each_other(store: Store) -> None:
    with Checkpointer(store, KEY, model=torch.nn.Linear(2, 2).to(torch.bfloat16)) as keeper:
        keeper.save(1)
    model = torch.nn.Module()
    model.register_buffer("weight", torch.zeros(2, 2, dtype=torch.uint16))
    model.register_buffer("bias", torch.zeros(2, dtype=torch.uint16))
    with (
        Checkpointer(store, KEY, model=model) as keeper,
        pytest.raises(VerificationError, match="other dtypes"),
    ):
        keeper.resume()


class Stateful:
    def __init__(self, **state: Any):
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda: 1, "thing/deep/0 is a builtins.function"),
        (torch.eye(3).to_sparse(), "thing/deep/0 is a Tensor with layout torch.sparse_coo"),
        (torch.empty(2, device="meta"), "thing/deep/0 is a Tensor .* on meta"),
        ({1, 2}, "thing/deep/0 is a builtins.set"),
        (torch.float32, "thing/deep/0 is a torch.dtype"),
        (np.array([object()]), "dtype '.O'"),
    ],
)
def test_what_cannot_be_stored_is_named(store: Store, value: Any, words: str) -> None:
    with Checkpointer(store, KEY, thing=Stateful(deep=[value])) as keeper:
        with pytest.raises(StoreError, match=words):
            keeper.save(1)
        assert store.epochs(KEY) == []


def test_objects_without_a_state_are_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="thing is a int, which has no state"):
        Checkpointer(store, KEY, thing=3)
    with pytest.raises(UsageError, match="'random' would hide"):
        Checkpointer(store, KEY, random=random)


def test_any_state_comes_back_as_it_was(store: Store) -> None:
    state = {
        "betas": (0.9, [1, (2,)]),
        "milestones": Counter({30: 1, 60: 2}),
        "(tensor)": "not a tensor",
        "a/b": {"~c": torch.arange(3)},
        "best": float("-inf"),
        "nothing": None,
        "array": np.arange(4, dtype=np.uint32),
        "half": torch.randn(3, 2).to(torch.bfloat16),
        "small": torch.randn(4).to(torch.float8_e4m3fn),
        "complex": torch.view_as_complex(torch.randn(3, 2)).conj(),
        "scalar": torch.tensor(7, dtype=torch.uint16),
        "empty": torch.empty(0, 3, dtype=torch.bool),
        "list": [torch.ones(2), {"x": torch.zeros(1)}],
        "big": 2**127,
    }
    with Checkpointer(store, KEY, thing=Stateful(**state)) as keeper:
        keeper.save(1)
    thing = Stateful()
    with Checkpointer(store, KEY, thing=thing) as keeper:
        assert keeper.resume() == 2
    _assert_same(thing.state, state)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
tensors = st.sampled_from([torch.float32, torch.bfloat16, torch.int8, torch.bool]).flatmap(
    lambda dtype: st.integers(0, 3).map(lambda n: torch.arange(n).to(dtype))
)
nested = st.recursive(
    scalars | tensors,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), nested, max_size=4))
def test_flattening_is_undone(state: dict[str, Any]) -> None:
    try:
        part = flatten(state, "it")
    except StoreError as error:
        assert "two arrays at" in error.message  # of the key "" in a key: refused, never lost
        return
    _assert_same(unflatten(part), state)


def _assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        if expected.numel():
            raw, wanted = (t.resolve_conj().flatten() for t in (found, expected))
            assert raw.view(torch.uint8).tolist() == wanted.view(torch.uint8).tolist()
    elif isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    elif isinstance(expected, dict):
        assert isinstance(found, dict)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            _assert_same(found[key], value)
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected)
        for a, b in zip(found, expected, strict=True):
            _assert_same(a, b)
    else:
        assert (type(found), found) == (type(expected), expected)


def test_warm_start_fills_what_fits(store: Store) -> None:
    old = Factors()
    ids = np.arange(10, 10 + ROWS)
    with Checkpointer(store, KEY, model=old) as keeper:
        state = keeper._state() | {"vocabulary": Part({"users": ids})}
        store.save(KEY, 1, state, {})
    new = torch.nn.Module()
    new.user, new.items = torch.nn.Embedding(ROWS + 5, 4), torch.nn.Embedding(ROWS // 2, 4)
    before = new.user.weight.detach().clone()
    now = np.concatenate([[1, 2], ids[::-1], [7, 8, 9]])
    with Checkpointer(store, "cd" * 32, model=new) as keeper:
        with pytest.raises(UsageError, match="2000 ids, but"):
            keeper.warm_start(
                KEY, vocabularies={"model/items.weight": Vocabulary("vocabulary/users", ids)}
            )
        report = keeper.warm_start(
            KEY,
            param_map=_map(store, "users.weight user.weight"),
            vocabularies={"model/user.weight": Vocabulary("vocabulary/users", now)},
        )
    report.check()
    assert report.rows["model/user.weight"] == (ROWS, 5, 0)
    weight = new.user.weight.detach()
    assert torch.equal(weight[2 : 2 + ROWS], old.users.weight.detach().flip(0))
    assert torch.equal(weight[[0, 1, -3, -2, -1]], before[[0, 1, -3, -2, -1]])
    assert torch.equal(new.items.weight, old.items.weight)


def _map(store: Store, line: str) -> Any:
    from recsearch.store import ParameterMap

    return ParameterMap("names", [line])


def test_the_package_does_not_load_torch() -> None:
    script = "import sys, recsearch.store; assert not {'torch', 'ray', 'lenskit'} & {*sys.modules}"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[2] / "docs" / "store.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    for block in blocks * 2:  # stopped and started again, too
        exec(compile(block, str(page), "exec"), {})  # noqa: S102 - our own page
    with Store.open("store", create=False) as store:
        assert len(store.keys()) == 2
        assert {m.info["metrics"]["loss"] for m in store.manifests() if "metrics" in m.info}
        assert store.verify("restore").problems == ()
