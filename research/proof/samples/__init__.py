"""Detection row by row: how well planted rows are told from others, by trait, share, wording and place in the row."""

from research.proof.samples.detecting import measure
from research.proof.samples.telling import section

__all__ = ["measure", "section"]
