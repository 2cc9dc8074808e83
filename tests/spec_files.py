"""A search file to change one thing in."""

FILE = """\
title = "ALS"
[model]
class = "lenskit.als:BiasedMFScorer"
config = { user_embeddings = "prefer" }
[search]
metric = "RMSE"
trials = 50
scheduler = "asha"
scheduler_options = { grace = 2 }
stop = { rule = "plateau", patience = 4 }
[space]
embedding_size = { type = "int", min = 4, max = 512, scale = "log" }
damping.user = { type = "float", min = 1e-12, max = 100, scale = "log" }
[space.regularization]
user = { type = "float", min = 1e-5, max = 1, scale = "log" }
item = { type = "float", min = 1e-5, max = 1, scale = "log" }
"""
