"""What `benchmarks.api` needs: a load generator, and the bare applications that Graft is compared with."""
