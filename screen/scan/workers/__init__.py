"""Processes that run the model: one of its own by default, one a device with several."""
