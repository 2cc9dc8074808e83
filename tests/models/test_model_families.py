"""Every family, in the configurations that take different ways through the code."""

from __future__ import annotations

from typing import ClassVar

from contract import FamilyContract, PipelineContract


class TestALSBatched(PipelineContract):
    family_name = "als"
    config: ClassVar = {"embedding_size": 8, "user_embeddings": "prefer", "damping": {"user": 2}}
    typo = ("embeding_size", "embedding_size")


class TestALSByRow(PipelineContract):
    family_name = "als"
    config: ClassVar = {
        "embedding_size": 48,
        "user_embeddings": "prefer",
        "regularization": {"user": 0.05, "item": 0.2},
    }
    typo = ("regularisation", "regularization")


class TestALSFoldIn(PipelineContract):
    family_name = "lenskit.als:BiasedMFScorer"
    config: ClassVar = {"embedding_size": 6}
    string_ids = True
    typo = ("featurs", "features")


class TestALSWithoutUserEmbeddings(PipelineContract):
    family_name = "als"
    config: ClassVar = {"embedding_size": 5, "user_embeddings": False}
    typo = ("featurs", "features")


class TestImplicitBatched(PipelineContract):
    family_name = "als-implicit"
    config: ClassVar = {"embedding_size": 8, "user_embeddings": "prefer"}
    typo = ("wieght", "weight")


class TestImplicitByRow(PipelineContract):
    family_name = "als-implicit"
    config: ClassVar = {"embedding_size": 48, "user_embeddings": "prefer", "use_ratings": True}
    typo = ("weigth", "weight")


class TestImplicitFoldIn(PipelineContract):
    family_name = "lenskit.als.ImplicitMFScorer"
    config: ClassVar = {"embedding_size": 7, "weight": 12.5, "use_ratings": True}
    string_ids = True
    typo = ("weigth", "weight")


class TestBias(PipelineContract):
    family_name = "bias"
    config: ClassVar = {"damping": {"user": 5, "item": 2.5}}
    typo = ("dampign", "damping")


class TestItemBias(PipelineContract):
    family_name = "bias"
    config: ClassVar = {"entities": ["item"]}
    typo = ("entites", "entities")


class TestUserBias(PipelineContract):
    family_name = "lenskit.basic:BiasScorer"
    config: ClassVar = {"entities": ["user"], "damping": 3}
    typo = ("entites", "entities")


class TestPopularQuantile(PipelineContract):
    family_name = "popular"
    typo = ("scores", "score")


class TestPopularCount(PipelineContract):
    family_name = "lenskit.basic:PopScorer"
    config: ClassVar = {"score": "count"}
    string_ids = True
    typo = ("scor", "score")


class TestOwnClass(FamilyContract):
    family_name = "own_model:NearestMean"
    config: ClassVar = {"rate": 0.5}
    typo = ("rat", "rate")
