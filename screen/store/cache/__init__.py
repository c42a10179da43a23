"""Generated answers kept on disk, by content."""
