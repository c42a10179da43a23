"""The front door of the library: what `import screen` offers, and what the command line is a shell over."""
