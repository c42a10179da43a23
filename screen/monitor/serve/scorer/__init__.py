"""The process that scores what the journal holds, and what keeps it."""
