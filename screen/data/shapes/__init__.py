"""Rows -> samples: the known shapes, how they are told apart (`detect.py`), and messages."""
