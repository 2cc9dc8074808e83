"""Matrix factorisation in plain PyTorch, with sparse gradients: a model of one's own."""

import numpy as np
import torch
from pydantic import BaseModel, NonNegativeFloat, PositiveFloat, PositiveInt

from recsearch.models.config import complete_config
from recsearch.models.pipelines import factors_pipeline
from recsearch.models.protocol import untrainable
from recsearch.models.torch_parts import array_of, fill
from recsearch.models.vocabulary import EntityIds, need_part
from recsearch.state import Part

NAME = "torch_mf"


class Parameters(BaseModel):
    embedding_size: PositiveInt = 16
    learning_rate: PositiveFloat = 0.01
    regularization: NonNegativeFloat = 0.05
    batch_size: PositiveInt = 64
    batches_per_epoch: PositiveInt | None = None  # None: all ratings


class TorchMF:
    predicts_ratings, iterative, default_metric = True, True, "RMSE"
    code_version, libraries = 1, ("numpy", "torch")

    @classmethod
    def complete(cls, config):
        return complete_config(Parameters, config, NAME, pairs={})

    @classmethod
    def model_bytes(cls, config, split):
        return 4 * config["embedding_size"] * (split.n_users + split.n_items)

    @classmethod
    def create(cls, config, split, seed):
        model = cls(config, EntityIds.of_split(split), np.random.default_rng(seed).integers(2**62))
        model.mean, train = split.train.values.mean(), split.train
        users = np.repeat(np.arange(split.n_users), np.diff(train.indptr))
        model.ratings = [torch.tensor(a) for a in (users, train.items, train.values - model.mean)]
        return model

    @classmethod
    def load(cls, config, state):
        model = cls(config, EntityIds.of_state(state, NAME), 0)
        model.load_state(state)
        return model

    def __init__(self, config, ids, seed):
        self.config, self.ids, self.ratings = config, ids, None
        self.epochs, self.mean, self.touched = 0, np.float32(0), {}
        self.random, self.tables = torch.Generator().manual_seed(int(seed)), {}
        for name, owners in (("users", ids.users), ("items", ids.items)):
            table = torch.nn.Embedding(len(owners), config["embedding_size"], sparse=True)
            torch.nn.init.normal_(table.weight, std=0.1, generator=self.random)
            self.tables[name] = table

    def train_epoch(self):
        if self.ratings is None:
            raise untrainable(NAME)
        weights = [table.weight for table in self.tables.values()]
        optimizer = torch.optim.SGD(weights, lr=self.config["learning_rate"])
        order = torch.randperm(len(self.ratings[0]), generator=self.random)
        batches = order.split(self.config["batch_size"])[: self.config["batches_per_epoch"]]
        for batch in batches:
            users, items, ratings = (column[batch] for column in self.ratings)
            p, q = self.tables["users"](users), self.tables["items"](items)
            norms = p.square().sum() + q.square().sum()
            errors = (ratings - (p * q).sum(1)).square().sum()
            optimizer.zero_grad()
            (errors + self.config["regularization"] * norms).backward()
            optimizer.step()
        # Gradients are sparse: no other row of a table has changed in this epoch.
        seen = torch.cat(batches)
        pairs = zip(self.tables, self.ratings, strict=False)
        self.touched = {name: np.unique(column[seen].numpy()) for name, column in pairs}
        self.epochs += 1
        return {}

    def state(self):
        weights = {name: array_of(table.weight) for name, table in self.tables.items()}
        random = {"random": array_of(self.random.get_state())}
        return {
            "model": Part(weights, touched=self.touched),
            "trainer": Part(random, {"epochs": self.epochs, "mean": float(self.mean)}),
            "vocabulary": self.ids.to_part(),
        }

    def load_state(self, state):
        self.ids.check_same(state, NAME)
        model = need_part(state, "model", NAME, ("users", "items"))
        trainer = need_part(state, "trainer", NAME, ("random",))
        for name, table in self.tables.items():
            fill(table.weight, model.tensors[name], name, NAME)
        self.random.set_state(torch.tensor(trainer.tensors["random"]))
        self.epochs, self.mean = trainer.values["epochs"], np.float32(trainer.values["mean"])
        self.touched = {}

    def scores(self, users, items=None):
        P, Q = (table.weight.detach().numpy() for table in self.tables.values())
        return P[users] @ (Q if items is None else Q[items]).T + self.mean

    def to_pipeline(self, history=None):
        vectors = (array_of(table.weight) for table in self.tables.values())
        return factors_pipeline(self.ids, NAME, *vectors, offset=self.mean, history=history)
