"""Biased matrix factorisation in plain PyTorch, with sparse gradients: a model of one's own."""

from __future__ import annotations

import numpy as np
import torch
from lenskit.funksvd import FunkSVDConfig, FunkSVDScorer
from pydantic import BaseModel, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from recsearch.bias import learn_bias
from recsearch.errors import UsageError
from recsearch.models.config import complete_config
from recsearch.models.pipelines import bias_model, item_vocabulary, topn_pipeline, user_vocabulary
from recsearch.models.vocabulary import EntityIds, frozen, need_part, need_shape
from recsearch.state import Part

NAME = "torch_mf"
MOMENTS = ("exp_avg", "exp_avg_sq")  # what SparseAdam keeps for every weight


class Parameters(BaseModel):
    embedding_size: PositiveInt = 16
    learning_rate: PositiveFloat = 0.003
    regularization: NonNegativeFloat = 0.05
    damping: NonNegativeFloat = 5.0  # of the user and item biases, which are not trained
    batch_size: PositiveInt = 512
    batches_per_epoch: NonNegativeInt = 0  # 0: as many as all ratings make


class TorchMF:
    predicts_ratings = True
    iterative = True
    code_version = 1
    default_metric = "RMSE"
    libraries = ("numpy", "torch")

    @classmethod
    def complete(cls, config):
        return complete_config(Parameters, config, NAME, pairs={})

    @classmethod
    def model_bytes(cls, config, split):
        numbers_per_row = 3 * config["embedding_size"] + 1  # vector, two moments, bias
        return 4 * numbers_per_row * (split.n_users + split.n_items) + 8

    @classmethod
    def create(cls, config, split, seed):
        model = cls(config, EntityIds.of_split(split), seed)
        train, damping = split.train, config["damping"]
        offset, items, users = learn_bias(train, split.n_items, damping, damping)
        model.biases = {
            "global": frozen(np.array([offset])),
            "users": frozen(users.astype(np.float32)),
            "items": frozen(items.astype(np.float32)),
        }
        rows = np.repeat(np.arange(split.n_users), np.diff(train.indptr))
        rest = train.values - np.float32(offset) - users[rows] - items[train.items]
        model.ratings = [torch.tensor(a) for a in (rows, train.items, rest.astype(np.float32))]
        return model

    @classmethod
    def load(cls, config, state):
        model = cls(config, EntityIds.of_state(state, NAME), 0)
        model.load_state(state)
        return model

    def __init__(self, config, ids, seed):
        self.config, self.ids = config, ids
        self.ratings = None  # users, items and what the biases leave of the ratings
        self.epochs, self.touched = 0, {}
        start = int(np.random.default_rng(seed).integers(2**62))
        self.random = torch.Generator().manual_seed(start)  # all that is random here
        self.tables = {}
        for name, ids_ in (("users", ids.users), ("items", ids.items)):
            drawn = torch.randn(len(ids_), config["embedding_size"], generator=self.random)
            self.tables[name] = torch.nn.Embedding.from_pretrained(
                0.1 * drawn, freeze=False, sparse=True
            )
        weights = [table.weight for table in self.tables.values()]
        self.optimizer = torch.optim.SparseAdam(weights, lr=config["learning_rate"])
        for weight in weights:
            zeros = {moment: torch.zeros_like(weight) for moment in MOMENTS}
            self.optimizer.state[weight] = {"step": 0, **zeros}

    def train_epoch(self):
        if self.ratings is None:
            raise UsageError(f"{NAME}: loaded without training ratings; create it on a split.")
        size, n_batches = self.config["batch_size"], self.config["batches_per_epoch"]
        order = torch.randperm(len(self.ratings[0]), generator=self.random)
        if n_batches:
            order = order[: n_batches * size]
        user_table, item_table = self.tables.values()
        total = 0.0
        for batch in order.split(size):
            users, items, ratings = (column[batch] for column in self.ratings)
            p, q = user_table(users), item_table(items)
            errors = (ratings - (p * q).sum(1)).square()
            norms = p.square().sum(1) + q.square().sum(1)
            self.optimizer.zero_grad()
            (errors + self.config["regularization"] * norms).mean().backward()
            self.optimizer.step()
            total += float(errors.detach().sum())
        # Sparse gradients: no other row of a table has changed in this epoch, nor its moments.
        self.touched = {
            name: np.unique(column[order].numpy())
            for name, column in zip(self.tables, self.ratings, strict=False)
        }
        self.epochs += 1
        return {"train_rmse": (total / len(order)) ** 0.5}

    def state(self):
        weights, moments, touched = {}, {}, {}
        for name, table in self.tables.items():
            weights[name] = table.weight.detach().numpy().copy()
            for moment in MOMENTS:
                array = self.optimizer.state[table.weight][moment]
                moments[f"{name}.{moment}"] = array.numpy().copy()
                if name in self.touched:
                    touched[f"{name}.{moment}"] = self.touched[name]
        steps = {name: self._adam(name)["step"] for name in self.tables}
        random = self.random.get_state().numpy().copy()
        return {
            "model": Part(weights, touched=self.touched),
            "optimizer": Part(moments, steps, touched=touched),
            "biases": Part(self.biases, constant=True),
            "trainer": Part({"random": random}, {"epochs": self.epochs}),
            "vocabulary": self.ids.to_part(),
        }

    def load_state(self, state):
        self.ids.check_same(state, NAME)
        names = [f"{table}.{moment}" for table in self.tables for moment in MOMENTS]
        model = need_part(state, "model", NAME, list(self.tables))
        optimizer = need_part(state, "optimizer", NAME, names)
        biases = need_part(state, "biases", NAME, ["global", "users", "items"])
        trainer = need_part(state, "trainer", NAME, ["random"])
        with torch.no_grad():
            for name, table in self.tables.items():
                _fill(table.weight, model.tensors[name], name)
                for moment in MOMENTS:
                    key = f"{name}.{moment}"
                    _fill(self._adam(name)[moment], optimizer.tensors[key], key)
                self._adam(name)["step"] = optimizer.values[name]
        self.biases = {name: frozen(array.copy()) for name, array in biases.tensors.items()}
        self.random.set_state(torch.tensor(trainer.tensors["random"]))
        self.epochs, self.touched = trainer.values["epochs"], {}

    def _adam(self, name):
        return self.optimizer.state[self.tables[name].weight]

    def scores(self, users, items=None):
        P, Q = (table.weight.detach().numpy() for table in self.tables.values())
        columns = slice(None) if items is None else items
        offset = np.float32(self.biases["global"][0])
        item_bias, user_bias = self.biases["items"][columns], self.biases["users"][users]
        return P[users] @ Q[columns].T + (offset + item_bias) + user_bias[:, None]

    def to_pipeline(self, history=None):
        # LensKit's scorer of just this form: biases and a product of vectors.
        scorer = FunkSVDScorer(FunkSVDConfig(embedding_size=self.config["embedding_size"]))
        scorer.users, scorer.items = user_vocabulary(self.ids), item_vocabulary(self.ids)
        scorer.user_embeddings, scorer.item_embeddings = (
            table.weight.detach().numpy().copy() for table in self.tables.values()
        )
        damping = dict.fromkeys(("user", "item"), self.config["damping"])
        offset = float(self.biases["global"][0])
        scorer.bias = bias_model(
            self.ids, damping, offset, self.biases["items"], self.biases["users"]
        )
        return topn_pipeline(scorer, self.ids, NAME, bias=scorer.bias, history=history)


def _fill(target, array, what):
    target.copy_(torch.tensor(need_shape(array, tuple(target.shape), what, NAME)))
