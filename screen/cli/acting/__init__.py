"""Verbs that act on a trait: steer a model, choose a vaccine, watch what a model says."""
