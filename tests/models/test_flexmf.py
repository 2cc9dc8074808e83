"""FlexMF: the contract of a family, and the numbers of LensKit's own trainers."""

from __future__ import annotations

from typing import ClassVar

from contract import PipelineContract


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
