"""A model answers with vectors added and without: what steering does at inference, and what it costs."""
