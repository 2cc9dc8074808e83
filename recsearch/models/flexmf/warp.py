"""LensKit's loss for WARP on its numbers, without the square matrix that it goes through."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Loss: TypeAlias = Callable[["Tensor", "Tensor", float, "Tensor | None"], "Tensor"]


def in_one_row(lenskits: Loss) -> Loss:
    """The same loss with the same gradients, in time and memory proportional to the batch.

    LensKit 2025.8.1 multiplies losses of shape ``(B, 1)`` with weights of shape ``(B,)``: every
    loss with the weight of every sample, ``B * B`` doubles (512 MiB for a batch of 8,192), of which
    it takes the mean. So the gradient of each loss is the sum of all weights over ``B * B``: the
    same one for all, which one row of that matrix tells, added up as PyTorch adds it.

    Args:
        lenskits: the loss to use where the shapes are others, as those of a corrected LensKit.
    """

    def loss(positive: Tensor, negative: Tensor, weight: float, weights: Tensor | None) -> Tensor:
        import torch
        from torch.nn import functional

        column = positive.dim() == 2 and positive.shape[1] == 1 and positive.shape == negative.shape
        if weights is None or not column or weights.shape != positive.shape[:1]:
            return lenskits(positive, negative, weight, weights)
        losses = -functional.logsigmoid(positive - negative)
        samples = len(losses)
        with torch.no_grad():
            row = torch.full_like(weights, 1.0 / samples**2) * weights
            share = row.reshape(1, -1).sum(1)
        return (losses.to(share.dtype) * share).sum()

    return loss


def spare_the_square(trainer: Any) -> None:
    """Let a LensKit trainer for WARP use `in_one_row`; leave others as they are."""
    if getattr(trainer.component.config, "loss", None) == "warp":
        trainer._loss = in_one_row(trainer._loss)
