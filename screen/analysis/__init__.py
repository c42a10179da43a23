"""Why a row scores as it does, and whether to believe it: passes over single rows of a run, and tests of a screen."""
