"""Verbs that come after a run: from scores to a decision."""
