"""Checkpoints of a plain PyTorch training loop: stopped anywhere, it continues bit for bit.

torch is imported when a :class:`Checkpointer` is made, never with this module.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recsearch.errors import StoreDamagedError, UsageError, VerificationError
from recsearch.state import Json, Part, State
from recsearch.store.manifest import Manifest
from recsearch.store.param_map import ParameterMap
from recsearch.store.remap import PartialReport, Vocabulary, compare, named
from recsearch.store.staged import Saved, Staged
from recsearch.store.store import Store
from recsearch.store.tensors import DTYPES, escape, flatten, unflatten
from recsearch.store.torch_state import check_state, get_state, name_parameters, set_state, targets
from recsearch.store.track import Codec

RANDOM = "random"
"""The part with the states of torch's own generators; objects cannot have this name."""


class Checkpointer:
    """Saves and resumes the objects of a training loop.

    An object is whatever has ``state_dict`` and ``load_state_dict`` (modules, optimizers,
    schedulers, scalers, samplers), a ``numpy.random.Generator``, something with ``getstate`` and
    ``setstate`` (the module ``random``), or a list of these. Each becomes a part of the checkpoint.
    The states of torch's generators, on the CPU and on all CUDA devices, are saved with them.

    States are saved as arrays and JSON; nothing is pickled. Optimizer state is bound to the names
    of parameters, not to their order. Not safe to share between threads.

    Args:
        store: Where checkpoints go.
        key: 64 hexadecimal characters that name the training, such as
            ``recsearch.identity.digest(configuration)``.
        codec: See :meth:`Store.track`.
        rho: See :meth:`Store.track`.
        track_rows: Names of embedding weights, such as ``users.weight``. The rows that training
            looks up in them are noted, so that saving need not search for what changed. Only for
            optimizers that change no other rows: ``SparseAdam``, or ``SGD`` and ``Adagrad`` on
            sparse gradients, without momentum and weight decay.
        objects: The objects by name: ``model=..., optimizer=..., scheduler=...``. Parameters of a
            module other than ``model`` are named ``<name of the module>.<name>``.

    Raises:
        UsageError: an object has no state, or a name of ``track_rows`` is no embedding's.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        *,
        codec: Codec = "auto",
        rho: float = 1.0,
        track_rows: Collection[str] = (),
        **objects: Any,
    ):
        import torch

        self._torch = torch
        self._store = store
        self._key = key
        self._options: dict[str, Any] = {"codec": codec, "rho": rho}
        self._objects = objects
        self._modules = {n: o for n, o in objects.items() if isinstance(o, torch.nn.Module)}
        self._seen: dict[str, Any] = {}
        if RANDOM in objects:
            raise UsageError(f"an object named {RANDOM!r} would hide the states of torch's own")
        names = self._names()
        for name, each in objects.items():
            get_state(each, names, name)
        for name in track_rows:
            self._watch(name)
        self._track = store.track(**self._options)

    def save(
        self,
        epoch: int,
        metrics: Mapping[str, Any] | None = None,
        *,
        touched: Mapping[str, Any] | None = None,
        info: Mapping[str, Json] | None = None,
    ) -> Saved:
        """Commit the present state as the one after ``epoch``; durable when this returns.

        Args:
            epoch: 1-based.
            metrics: Numbers to keep with it, in ``info["metrics"]``.
            touched: Name of a parameter to the numbers of all its rows that changed since the last
                checkpoint, in any order; holds for its optimizer state, too. Parameters that are
                not named here are compared with what they were.
            info: More to keep with it; see :meth:`Staged.commit`.

        Raises:
            StoreError: naming what cannot be stored, or the store cannot be written.
        """
        staged = self.stage(touched)
        try:
            kept = {name: float(value) for name, value in (metrics or {}).items()}
            return staged.commit(self._key, epoch, {**(info or {}), "metrics": kept})
        except BaseException:
            staged.abandon()
            raise

    def stage(self, touched: Mapping[str, Any] | None = None) -> Staged:
        """Copy the present state and write it in the background, to be committed later."""
        rows = {name: mask.nonzero()[:, 0] for name, mask in self._seen.items()} | {
            name: self._torch.as_tensor(ids) for name, ids in (touched or {}).items()
        }
        staged = self._track.stage(self._state({n: t.cpu().numpy() for n, t in rows.items()}))
        self._forget_rows()
        return staged

    def resume(self, epoch: int | None = None) -> int:
        """Put all objects into the state after ``epoch``, the last one by default.

        Parameters are read straight into their memory, and optimizer state is made without a
        training step. Call it before the first step.

        Where the last checkpoint is damaged, it is set aside in the store, a warning says so, and
        the one before is taken.

        Returns:
            The epoch to go on with: 1 if there is no checkpoint yet.

        Raises:
            CheckpointNotFoundError: there is no such epoch.
            VerificationError: the checkpoint is of other objects or parameters; it lists which.
                Nothing was changed.
            StoreDamagedError: ``epoch`` is damaged, or all are. The objects hold garbage.
        """
        if epoch is not None:
            return self._load(epoch)
        damage: StoreDamagedError | None = None
        for last in reversed(self._store.epochs(self._key)):
            try:
                return self._load(last)
            except StoreDamagedError as error:
                damage = error
                if not self._store.quarantine(self._key, last):
                    raise
                what = f"epoch {last} is damaged and was set aside in the store: {error.message}"
                warnings.warn(what, stacklevel=2)
        if damage is not None:
            raise damage
        return 1

    def _load(self, epoch: int) -> int:
        with self._store.hold(self._key, epoch) as manifest:
            current = self._state()
            self._check(manifest, current)
            into = {
                name: Part(targets(part.tensors, current[name].tensors))
                for name, part in manifest.parts.items()
            }
            state = self._store.restore(self._key, manifest.epoch, into=into)
            names = self._names()
            for name, each in self._objects.items():
                set_state(each, names, unflatten(state[name]))
            self._set_random(unflatten(state[RANDOM]))
            self._track.close()
            self._track = self._store.track(**self._options, after=manifest)
        self._forget_rows()
        return manifest.epoch + 1

    def warm_start(
        self,
        key: str,
        epoch: int | None = None,
        *,
        param_map: ParameterMap | str | Path | None = None,
        vocabularies: Mapping[str, Vocabulary] | None = None,
    ) -> PartialReport:
        """Fill the modules with what fits of another training's checkpoint, and nothing else.

        Optimizers and generators stay fresh. Call ``report.check()`` to insist that all fits.

        Args:
            key: Its key.
            epoch: Its epoch, the last one by default.
            param_map: Other names, see :class:`~recsearch.store.param_map.ParameterMap`.
            vocabularies: Ids of rows, see :func:`recsearch.store.remap.restore_partial`.
        """
        parts = {name: flatten(o.state_dict(), name) for name, o in self._modules.items()}
        report = self._store.restore_partial(
            key, epoch, parts, param_map=param_map, vocabularies=vocabularies
        )
        for name, part in parts.items():
            set_state(self._modules[name], {}, unflatten(part))
        return report

    def close(self) -> None:
        """Forget the last state."""
        self._track.close()

    def __enter__(self) -> Checkpointer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _names(self) -> dict[int, str]:
        return {id(p): name for name, (_, _, p) in name_parameters(self._objects).items()}

    def _state(self, touched: Mapping[str, np.ndarray] | None = None) -> dict[str, Part]:
        names = self._names()
        state = {n: flatten(get_state(o, names, n), n) for n, o in self._objects.items()}
        state[RANDOM] = flatten(self._random(), RANDOM)
        rows = self._touched(state, touched or {})
        return {name: replace(part, touched=rows[name]) for name, part in state.items()}

    def _touched(
        self, state: State, touched: Mapping[str, np.ndarray]
    ) -> defaultdict[str, dict[str, np.ndarray]]:
        """By part and array: the rows of parameters, and of optimizer state of as many rows."""
        known = name_parameters(self._objects)
        found: defaultdict[str, dict[str, np.ndarray]] = defaultdict(dict)
        for name, ids in touched.items():
            if name not in known:
                raise UsageError(f"touched rows name no parameter: {name!r}")
            own, local, parameter = known[name]
            found[own][escape(local)] = ids
            for part in self._objects.keys() - self._modules:
                for path, array in state[part].tensors.items():
                    mine = f"/state/{escape(name)}/" in f"/{path}"
                    if mine and array.shape[:1] == parameter.shape[:1]:
                        found[part][path] = ids
        return found

    def _random(self) -> dict[str, Any]:
        cuda = self._torch.cuda
        devices = {"cuda": cuda.get_rng_state_all()} if cuda.is_initialized() else {}
        return {"torch": self._torch.get_rng_state(), **devices}

    def _set_random(self, state: Mapping[str, Any]) -> None:
        self._torch.set_rng_state(state["torch"])
        cuda = self._torch.cuda
        if "cuda" in state and cuda.is_available():
            cuda.set_rng_state_all(state["cuda"][: cuda.device_count()])

    def _check(self, manifest: Manifest, current: State) -> None:
        if manifest.parts.keys() != current.keys():
            raise VerificationError(
                f"checkpoint {manifest.where} is of {', '.join(sorted(manifest.parts))}; "
                f"to be restored are {', '.join(sorted(current))}; nothing was changed"
            )
        modules = {name: current[name] for name in self._modules}
        compare(manifest, named(modules)).check()
        for name, part in modules.items():
            if part.values.get(DTYPES) != manifest.parts[name].values.get(DTYPES):
                raise VerificationError(f"checkpoint {manifest.where} has other dtypes in {name}")
        names = self._names()
        for name, each in self._objects.items():
            check_state(
                each, names, manifest.parts[name].values["tree"], f"{manifest.where} {name}"
            )

    def _watch(self, name: str) -> None:
        found = name_parameters(self._objects).get(name)
        owner = (
            self._objects[found[0]].get_submodule(found[1].rpartition(".")[0]) if found else None
        )
        embedding = (self._torch.nn.Embedding, self._torch.nn.EmbeddingBag)
        if not isinstance(owner, embedding) or not owner.sparse:
            raise UsageError(
                f"track_rows: {name!r} is not the weight of an Embedding or EmbeddingBag with "
                "sparse=True, of which training changes the rows that it looks up and no others"
            )
        self._seen[name] = self._torch.zeros(owner.num_embeddings, dtype=self._torch.bool)

        def note(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if self._torch.is_grad_enabled():
                ids = args[0] if args else kwargs["input"]
                mask = self._seen[name] = self._seen[name].to(ids.device)
                mask[ids.reshape(-1)] = True

        owner.register_forward_pre_hook(note, with_kwargs=True)

    def _forget_rows(self) -> None:
        for mask in self._seen.values():
            mask.zero_()
