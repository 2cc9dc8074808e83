"""The checkpoint store beside every other way to keep checkpoints: ``python -m benchmarks.store``.

One seeded trace of training states goes through all strategies in shuffled order. Every restore is
timed into ready arrays, including the base that it builds on, and compared with the truth.
"""
