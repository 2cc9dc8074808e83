"""What scores: the vectors and biases of a trained factorisation, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsearch.models.als.solver import one_blas_thread

PARAMETERS = {
    "u_embed.weight": "user_embeddings",
    "i_embed.weight": "item_embeddings",
    "u_bias.weight": "user_bias",
    "i_bias.weight": "item_bias",
}
"""Names of the parameters in LensKit's module, and in the part ``model``."""


@dataclass(frozen=True, eq=False)
class Factors:
    """Scores are ``users @ items.T`` plus biases.

    Attributes:
        users: ``(n_users, d)`` float32.
        items: ``(n_items, d)`` float32.
        user_bias: ``(n_users,)`` float32, or None where there is none.
        item_bias: ``(n_items,)`` likewise.
        offset: added to every score, in the unit of the ratings.
    """

    users: np.ndarray
    items: np.ndarray
    user_bias: np.ndarray | None = None
    item_bias: np.ndarray | None = None
    offset: float = 0.0

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """``(len(users), len(items))`` float32, on one BLAS thread; all items by default."""
        which = slice(None) if items is None else items
        with one_blas_thread():
            block: np.ndarray = self.users[users] @ self.items[which].T
        if self.item_bias is not None:
            block += self.item_bias[which][None, :]
        if self.user_bias is not None:
            block += self.user_bias[users][:, None]
        if self.offset:
            block += np.float32(self.offset)
        return block

    def fill(self, module: Any) -> None:
        """Write the vectors and biases into a LensKit ``FlexMFModel`` of their shape."""
        import torch

        values: dict[str, Any] = {
            "u_embed.weight": self.users,
            "i_embed.weight": self.items,
            "u_bias.weight": self.user_bias,
            "i_bias.weight": self.item_bias,
        }
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                array = values[name].reshape(tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(array.copy()))
