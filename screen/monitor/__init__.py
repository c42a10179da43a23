"""What a deployed or a training model says, watched: logs, live tokens, checkpoints, and whether something changed."""
