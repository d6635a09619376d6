"""Graft: asynchronous jobs for machine learning, with transfer learning at its heart."""
