"""What scores say of a dataset: thresholds, flags, control comparison, verdicts."""
