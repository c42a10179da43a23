"""The study behind docs/proof/: does the screen predict what training does? Read study.py first."""
