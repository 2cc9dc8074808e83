"""Model folders in the format of the LensKit Codex: ``search.toml`` beside ``pipeline.toml``.

Two generations of it: that of 2026, and that of October 2025 with exponents in place of powers of
two and pipelines that still had the name of the one they were copied from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

POWERS = 'embedding_size = { type = "int", min = 8, max = 1024, scale = "pow2" }\n'
SMALL_POWERS = 'embedding_size = { type = "int", min = 8, max = 256, scale = "pow2" }\n'
EXPONENTS = 'embedding_size_exp = { type = "int", min = 3, max = 10, scale = "log" }\n'
ALS_PENALTIES = """\
regularization.user = { type = "float", min = 1e-5, max = 0.2, scale = "log" }
regularization.item = { type = "float", min = 1e-5, max = 0.2, scale = "log" }
"""
TINY_DAMPING = """\
damping.user = { type = "float", min = 1e-12, max = 100, scale = "log" }
damping.item = { type = "float", min = 1e-12, max = 100, scale = "log" }
"""
DAMPING = TINY_DAMPING.replace("1e-12", "0.1")
GRADIENT = """\
regularization = { type = "float", min = 1e-4, max = 10, scale = "log" }
learning_rate = { type = "float", min = 1e-3, max = 0.1, scale = "log" }
"""
NEGATIVES = 'negative_count = { type = "int", min = 1, max = 5 }\n'
WEIGHT = 'positive_weight = { type = "int", min = 1, max = 10 }\n'
USER_BIAS = 'user_bias = { type = "bool" }\n'
ITEM_BIAS = 'item_bias = { type = "bool" }\n'
LAYERS = 'convolution_layers = { type = "int", min = 1, max = 3 }\n'
NEIGHBOURS = """\
max_nbrs = { type = "int", min = 2, max = 50 }
min_nbrs = { type = "int", min = 1, max = 5 }
min_sim = { type = "float", min = 1.0e-6, max = 0.1, scale = "log" }
"""
SLIM = """\
l1_reg = { type = "float", min = 0.01, max = 1000, scale = "log" }
l2_reg = { type = "float", min = 0.01, max = 1000, scale = "log" }
"""

DEEP = "max_epochs = 50\nnum_gpus = 0.2\n"
COUNTS = "max_nbrs = 20\nmin_nbrs = 2\n"
BPR = 'loss = "pairwise"\nreg_method = "AdamW"\nuser_bias = false\nitem_bias = false\n'
LOGISTIC = 'loss = "logistic"\nreg_method = "AdamW"\nuser_bias = true\n'
WARP = 'epochs = 5\nloss = "warp"\nreg_method = "AdamW"\nuser_bias = false\nitem_bias = false\n'


@dataclass(frozen=True)
class ModelFolder:
    """What its two files say.

    Attributes:
        component: class of the searched component, as the Codex writes it.
        space: lines of ``[space.scorer]``.
        config: lines of the component's fixed parameters.
        search: lines of ``[search]`` beside the metric.
        ratings: whether it is tuned for rating prediction.
        meta_name: name in the pipeline; None for that of the folder.
        predict: whether the pipeline predicts ratings; None for `ratings`.
    """

    component: str
    space: str
    config: str = ""
    search: str = ""
    ratings: bool = False
    meta_name: str | None = None
    predict: bool | None = None

    def write(self, root: Path, name: str) -> Path:
        """Write the folder ``models/NAME`` below ``root``; returns its search."""
        folder = root / "models" / name
        folder.mkdir(parents=True)
        (folder / "pipeline.toml").write_text(self._pipeline(name), encoding="utf-8")
        path = folder / "search.toml"
        metric = "RMSE" if self.ratings else "RBP"
        path.write_text(
            f'[search]\nmetric = "{metric}"\n{self.search}# list_length = 10\n\n'
            f'[space.scorer]\n{self.space}\n[pipeline]\nfile = "pipeline.toml"\n',
            encoding="utf-8",
        )
        return path

    def _pipeline(self, name: str) -> str:
        predict = self.ratings if self.predict is None else self.predict
        config = f"\n[components.scorer.config]\n{self.config}" if self.config else ""
        return (
            f'[meta]\nname = "{self.meta_name or name}"\n\n'
            f'[options]\nbase = "std:topn{"-predict" if predict else ""}"\n\n'
            f'[components.scorer]\nclass = "lenskit.{self.component}"\n{config}'
        )


_PREFER = 'user_embeddings = "prefer"\n'
_EXPLICIT, _IMPLICIT = "flexmf.FlexMFExplicitScorer", "flexmf.FlexMFImplicitScorer"
_ITEM, _USER = "knn.ItemKNNScorer", "knn.UserKNNScorer"
_ITEM_EXPLICIT = f'feedback = "explicit"\n{COUNTS}save_nbrs = 10000\n'
_ITEM_IMPLICIT = f'feedback = "implicit"\n{COUNTS}save_nbrs = 10000\n'
_USER_EXPLICIT, _USER_IMPLICIT = (f'feedback = "{kind}plicit"\n{COUNTS}' for kind in ("ex", "im"))
_WIDE_SLIM = 'max_nbrs = { type = "int", min = 50, max = 2000, scale = "log" }\n' + SLIM
_EASE = 'regularization = { type = "float", min = 0.01, max = 1000, scale = "log" }\n'
_ALS_WEIGHT = 'weight = { type = "float", min = 5, max = 60 }\n'

CODEX = {
    "als-biased": ModelFolder(
        "als.BiasedMFScorer", POWERS + ALS_PENALTIES + TINY_DAMPING, _PREFER, ratings=True
    ),
    "als-implicit": ModelFolder(
        "als.ImplicitMFScorer", POWERS + ALS_PENALTIES + _ALS_WEIGHT, _PREFER
    ),
    "bias": ModelFolder(
        "basic.BiasScorer", DAMPING, "damping = 50\n", "num_cpus = 2\nmax_points = 30\n", True
    ),
    "flexmf-explicit": ModelFolder(
        _EXPLICIT, POWERS + GRADIENT, 'reg_method = "AdamW"\n', DEEP, True
    ),
    "flexmf-bpr": ModelFolder(
        _IMPLICIT, POWERS + GRADIENT + NEGATIVES + WEIGHT + ITEM_BIAS, BPR, DEEP
    ),
    "flexmf-logistic": ModelFolder(
        _IMPLICIT, POWERS + GRADIENT + NEGATIVES + WEIGHT + USER_BIAS + ITEM_BIAS, LOGISTIC, DEEP
    ),
    "flexmf-warp": ModelFolder(
        _IMPLICIT, POWERS + GRADIENT + f"# {NEGATIVES}" + WEIGHT + ITEM_BIAS, WARP, DEEP
    ),
    "lightgcn-bpr": ModelFolder(
        _IMPLICIT,
        SMALL_POWERS + GRADIENT + NEGATIVES + WEIGHT + ITEM_BIAS + LAYERS,
        BPR + "convolution_layers = 2\n",
        DEEP,
    ),
    "lightgcn-logistic": ModelFolder(
        _IMPLICIT,
        SMALL_POWERS + GRADIENT + NEGATIVES + WEIGHT + USER_BIAS + ITEM_BIAS + LAYERS,
        LOGISTIC + "convolution_layers = 2\n",
        DEEP,
    ),
    "iknn-explicit": ModelFolder(_ITEM, NEIGHBOURS, _ITEM_EXPLICIT, ratings=True),
    "iknn-implicit": ModelFolder(_ITEM, NEIGHBOURS, _ITEM_IMPLICIT),
    "uknn-explicit": ModelFolder(_USER, NEIGHBOURS, _USER_EXPLICIT, ratings=True),
    "uknn-implicit": ModelFolder(_USER, NEIGHBOURS, _USER_IMPLICIT, meta_name="uknn-explicit"),
    "ease": ModelFolder("knn.EASEScorer", _EASE, search="max_points = 30\n"),
    "slim": ModelFolder("knn.SLIMScorer", SLIM, search="max_points = 30\n"),
    "slim-fs": ModelFolder("knn.SLIMScorer", _WIDE_SLIM, "max_nbrs = 200\n"),
}
"""The searches of 2026; LightGCN's are there, but not part of its runs."""

CODEX_2025 = {
    "als-biased": ModelFolder(
        "als.BiasedMFScorer",
        EXPONENTS + ALS_PENALTIES + TINY_DAMPING,
        _PREFER,
        "max_epochs = 30\n",
        True,
    ),
    "flexmf-bpr": ModelFolder(
        _IMPLICIT,
        EXPONENTS + GRADIENT + NEGATIVES + WEIGHT + ITEM_BIAS,
        BPR,
        DEEP + "min_epochs = 5\n",
    ),
    "iknn-implicit": ModelFolder(
        _ITEM, NEIGHBOURS, _ITEM_IMPLICIT, meta_name="iknn-explicit", predict=True
    ),
    "uknn-implicit": ModelFolder(_USER, NEIGHBOURS, _USER_IMPLICIT, meta_name="iknn-explicit"),
}
"""Those of October 2025 that say it in another way."""
