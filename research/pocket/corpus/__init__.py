"""The text that the embedded model learns: chats with known personas, as functions of a seed. Read chats.py first."""
