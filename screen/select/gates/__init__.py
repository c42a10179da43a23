"""Gates: conditions on a run's figures under which it fails. Language (parser.py), figures, and what they come to."""
