"""Training of the ALS models: LensKit's trainer, ours, and the other ways to solve the rows."""
