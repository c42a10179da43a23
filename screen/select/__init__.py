"""Which rows of a run: the expressions of `filter`, their columns, and what they match."""
