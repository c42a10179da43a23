"""How well baselines detect planted rows, and how sure their estimates are. Read detection.py first."""
