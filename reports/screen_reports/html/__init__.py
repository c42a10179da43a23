"""The report: one self-contained report.html of a run. Read report.py first; sections stand in order.py."""
