"""Two runs beside each other. Read two_runs.py first."""
