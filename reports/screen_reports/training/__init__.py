"""What fine-tunings came to, for the terminal."""
