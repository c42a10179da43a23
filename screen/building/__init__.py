"""Persona vectors from trait files. Read build.py first."""
