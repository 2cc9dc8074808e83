"""One-shot models of `lenskit.knn`: item and user neighbourhoods, EASE and SLIM."""
