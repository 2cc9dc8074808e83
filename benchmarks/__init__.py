"""Side by side against peers; run with ``python -m benchmarks.<name>``. Results are ratios."""
