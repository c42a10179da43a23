"""Verbs that look at the rows of a run, or select them."""
