"""Traits: the library, trait files, their schema, and new ones from a description."""
