"""What Graft costs and achieves, each beside its baseline. `python -m benchmarks.<name>` prints a table."""
