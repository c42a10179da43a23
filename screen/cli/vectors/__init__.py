"""The verbs `vectors` and `traits`."""
