"""SQL over a run, in a child process that can only read; the catalogue for other tools."""
