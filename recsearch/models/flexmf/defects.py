"""What is wrong with the installed LensKit's FlexMF: asked of its code, not only its version."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

FIXED = (2026, 3)
"""The release of LensKit that corrected the sampler for WARP (its merge request 1120)."""


@cache
def biases_are_learned() -> bool:
    """Whether FlexMF uses the biases that it is told to learn.

    In LensKit 2025.8.1 the class has attributes ``u_bias = None`` and ``i_bias = None``, which
    Python finds before the layers of these names: they are made, but neither initialised, trained
    nor added to a score.
    """
    import torch
    from lenskit.flexmf._model import FlexMFModel

    module = FlexMFModel(1, 1, 1, torch.Generator(), True, True)
    return module.u_bias is not None and module.i_bias is not None


def bias_warning() -> str | None:
    """What to say about the installed biases; None where they are learned."""
    if biases_are_learned():
        return None
    return (
        f"LensKit {version('lenskit')} neither trains nor uses the biases of FlexMF (its class "
        "attributes hide them): user_bias and item_bias change nothing, and models have none."
    )


@cache
def warp_warning() -> str | None:
    """What to say about the installed sampler for WARP; None where it is right."""
    installed = version("lenskit")
    if _release(installed) >= FIXED or finds_misranked():
        return None
    return (
        f"LensKit {installed} samples wrongly for WARP: it takes the first item that it draws, "
        "misranked or not, and gives all of them the same weight (fixed in LensKit 2026.3). "
        "Results of loss = warp are those of this sampler, not of WARP."
    )


def finds_misranked() -> bool:
    """Show LensKit's sampler ten items, of which the fourth alone is misranked: does it take that?

    False, too, where it cannot be asked in this way.
    """
    import numpy as np
    import torch
    from lenskit.flexmf import _implicit

    candidates = np.arange(10, dtype=np.int32).reshape(1, 10)
    scores = torch.where(torch.arange(10) == 3, 1.0, -1.0).reshape(1, 10)
    interactions = SimpleNamespace(sample_negatives=lambda *_, **__: candidates)
    trainer = SimpleNamespace(
        rng=None,
        log=SimpleNamespace(debug=lambda *_: None),
        data=SimpleNamespace(n_items=10),
        score=lambda users, items: (scores, torch.tensor(0.0)),
    )
    batch = SimpleNamespace(
        users=np.zeros(1, dtype=np.int32), data=SimpleNamespace(interactions=interactions)
    )
    users, positive = torch.zeros((1, 1), dtype=torch.int32), torch.zeros((1, 1))
    try:
        sampler: Any = _implicit.FlexMFWARPTrainer.scored_negatives
        items, *_ = sampler(trainer, batch, users, positive)
        return bool(items.reshape(-1)[0] == 3)
    except (AttributeError, TypeError, IndexError, RuntimeError):
        return False


def _release(text: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
