"""Where the screen fails, shown as failures: tone for content, length, and traits that no vector is for."""

from research.proof.failures.failing import measure
from research.proof.failures.telling import section

__all__ = ["measure", "section"]
