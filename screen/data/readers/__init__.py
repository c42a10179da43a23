"""File kinds -> rows: one module a kind, one line each in `kinds.py`."""
