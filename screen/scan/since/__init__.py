"""Rows that an earlier run has: `screen run --since` (decision 0015)."""
