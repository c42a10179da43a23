"""An OpenAI-compatible pass-through that scores what passes, off the request's path.

Two processes. The one that serves passes bytes on (passing.py) and keeps what was said in a journal on disk
(journal.py); the other reads the journal, scores each answer and writes the log (scorer/worker.py). Neither waits for
the other: where scoring falls behind by more than it may, messages are dropped and counted.
"""
