"""From samples to token ids and scored turns. Read renderer.py first."""
