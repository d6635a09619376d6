"""`graft doctor`: what would keep Graft from working here, each with what to do about it."""

from graft.doctor.findings import Finding, Outcome
from graft.doctor.running import examine

__all__ = ["Finding", "Outcome", "examine"]
