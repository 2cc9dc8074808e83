"""Strategies that write the whole state every time: torch.save, DCP, safetensors."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import ClassVar

import torch
import torch.distributed.checkpoint as dcp
from safetensors import safe_open
from safetensors.numpy import save_file
from torch.distributed.checkpoint.api import CheckpointException

from benchmarks.store.protocol import Strategy, sync_file
from benchmarks.store.trace import Tables, Touched


class TorchSave(Strategy):
    """``torch.save`` of a dict of tensors, as most training scripts do."""

    synced = False
    whole = True

    def save(self, version: int, tables: Tables, touched: Touched) -> None:
        """See :meth:`Strategy.save`."""
        with self._path(version).open("wb") as file:
            torch.save({name: torch.from_numpy(table) for name, table in tables.items()}, file)
            if self.synced:
                sync_file(file.fileno(), file.flush)

    def restore(self, version: int, into: Tables) -> None:
        """See :meth:`Strategy.restore`."""
        for name, tensor in torch.load(self._path(version), weights_only=True).items():
            into[name][...] = tensor.numpy()

    def _path(self, version: int) -> Path:
        return self.folder / f"{version:06d}.pt"


class TorchSaveSynced(TorchSave):
    """The same, synced."""

    synced = True


class Distributed(Strategy):
    """``torch.distributed.checkpoint`` on one rank as it comes: it syncs, and loads in place."""

    whole = True

    def save(self, version: int, tables: Tables, touched: Touched) -> None:
        """See :meth:`Strategy.save`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcp.save(_tensors(tables), checkpoint_id=self._path(version), no_dist=True)

    def restore(self, version: int, into: Tables) -> None:
        """See :meth:`Strategy.restore`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dcp.load(_tensors(into), checkpoint_id=self._path(version), no_dist=True)
            except CheckpointException as error:  # it is a BaseException
                raise OSError(str(error)) from error

    def _path(self, version: int) -> Path:
        return self.folder / f"{version:06d}"


class SafeTensors(Strategy):
    """``safetensors`` files, read through its memory map."""

    synced = False
    whole = True
    suffix: ClassVar[str] = ".safetensors"

    def save(self, version: int, tables: Tables, touched: Touched) -> None:
        """See :meth:`Strategy.save`."""
        save_file(tables, self._path(version))
        if self.synced:
            with self._path(version).open("rb+") as file:
                sync_file(file.fileno())

    def restore(self, version: int, into: Tables) -> None:
        """See :meth:`Strategy.restore`."""
        with safe_open(self._path(version), framework="numpy") as file:
            for name, table in into.items():
                table[...] = file.get_tensor(name)

    def _path(self, version: int) -> Path:
        return self.folder / f"{version:06d}{self.suffix}"


class SafeTensorsSynced(SafeTensors):
    """The same, synced."""

    synced = True


def _tensors(tables: Tables) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(table) for name, table in tables.items()}
