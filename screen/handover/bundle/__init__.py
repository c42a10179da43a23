"""The bundle of an audit: every row of a dataset, once, and what was decided about it. Written, and verified."""
