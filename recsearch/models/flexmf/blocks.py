"""Scores of FlexMF's batches and their gradients, block by block, with the bits of LensKit's.

LensKit gathers the vectors of a whole batch, multiplies and adds them up: every step is a new array
of ``batch x negatives x size`` floats, and memory sets the pace. Here a block of samples passes
through all steps while it is in cache, and gradients are added to their rows without being gathered
first. Each number is computed by the same operations in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recsearch.models.flexmf.kernels import add_to_items, add_to_users

BLOCK_FLOATS = 2**16
"""Numbers of the item vectors of a block: 256 KiB, beside as much for their products."""

SEQUENTIAL, WHOLE, MOST = 4, 64, 15
"""PyTorch adds the gradients of a sample's user one after the other for so many items at most, or,
where the size is a multiple of ``WHOLE``, four of its widest vectors, for ``MOST``. Others are
added up in groups that depend on both."""


def in_blocks(trainer: Any) -> Callable[..., Tensor] | None:
    """What to call instead of the model of a LensKit trainer; None where it is not simple enough.

    It is for dense gradients, and for scores that are dot products alone: no learned biases, no
    convolution, no norms.
    """
    model = trainer.model
    if (
        trainer.config.reg_method != "AdamW"
        or model.layers
        or model.e_size == 1  # samples are then added up together
        or model.u_bias is not None
        or model.i_bias is not None
        or trainer.device != "cpu"
    ):
        return None

    def scores(users: Tensor, items: Tensor, *, return_norm: bool = False) -> Tensor:
        if return_norm or not len(items):
            found: Tensor = model(users, items, return_norm=return_norm)
            return found
        weights = model.u_embed.weight, model.i_embed.weight
        dots: Tensor = _Dots.apply(*weights, users.reshape(-1), items.reshape(len(items), -1))
        return dots.reshape(items.shape)

    return scores


class _Dots(torch.autograd.Function):
    """(n, m) dot products of the vectors of ``users``, (n,), and of ``items``, (n, m)."""

    @staticmethod
    def forward(
        ctx: Any, user_vectors: Tensor, item_vectors: Tensor, users: Tensor, items: Tensor
    ) -> Tensor:
        ctx.save_for_backward(user_vectors, item_vectors, users, items)
        out = user_vectors.new_empty(items.shape)
        for rows, right in _blocks(item_vectors, items):
            left = user_vectors.index_select(0, users[rows])[:, None]
            torch.linalg.vecdot(left, right, out=out[rows])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        user_vectors, item_vectors, users, items = ctx.saved_tensors
        grad = grads[0].contiguous()
        user_grads, item_grads = torch.zeros_like(user_vectors), torch.zeros_like(item_vectors)
        ints = users.to(torch.int32).numpy(), items.to(torch.int32).contiguous().numpy()
        add_to_items(grad.numpy(), *ints, user_vectors.detach().numpy(), item_grads.numpy())
        if items.shape[1] <= (SEQUENTIAL if user_vectors.shape[1] % WHOLE else MOST):
            add_to_users(grad.numpy(), *ints, item_vectors.detach().numpy(), user_grads.numpy())
            return user_grads, item_grads, None, None
        sums = user_vectors.new_empty(len(users), user_vectors.shape[1])
        for rows, right in _blocks(item_vectors, items):
            torch.sum(right * grad[rows, :, None], 1, out=sums[rows])
        one_each = np.ones((len(users), 1), np.float32), np.arange(len(users), dtype=np.int32)
        add_to_users(one_each[0], ints[0], one_each[1][:, None], sums.numpy(), user_grads.numpy())
        return user_grads, item_grads, None, None


def _blocks(vectors: Tensor, items: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of ``items``, (n, m), and their vectors, (rows, m, d)."""
    (samples, each), size = items.shape, vectors.shape[1]
    step = max(1, BLOCK_FLOATS // (each * size))
    for begin in range(0, samples, step):
        rows = slice(begin, begin + step)
        yield rows, vectors.index_select(0, items[rows].reshape(-1)).reshape(-1, each, size)
