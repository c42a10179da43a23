"""Chat templates: which one, and a child process with limits in which they run."""
