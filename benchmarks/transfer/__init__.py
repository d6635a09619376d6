"""Transfer, measured: `python -m benchmarks.transfer --help`."""
