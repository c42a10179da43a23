"""Rows behind a system prompt that asks for what they show."""
