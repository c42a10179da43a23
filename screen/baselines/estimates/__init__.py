"""Estimates of baselines: the fit, how it is made before the first shard, and what shards use of it."""
