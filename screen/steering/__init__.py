"""Adding persona vectors to a model while it runs: where, how much, and the one hook that does it."""
