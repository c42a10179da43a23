"""Verbs that make runs, or act on whole ones."""
