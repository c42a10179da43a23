"""Which characters of a rendered conversation count: the ladder of METHOD section 3. Read masks.py first."""
