"""Trainers' own configuration files -> how to read the dataset."""
