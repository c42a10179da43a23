"""A scan. Read run.py first."""
