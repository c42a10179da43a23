"""What people said of a run's rows: a file of its own beside the shards."""
