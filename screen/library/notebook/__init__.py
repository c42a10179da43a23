"""A run as a notebook shows it: rows by score, and the summary as HTML."""
