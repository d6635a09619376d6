"""The parts of `benchmarks.batch`: what is scored, by which models, through Graft and beside it."""
