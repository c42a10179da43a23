"""`screen browse`: a keyboard viewer of a run in the terminal. Nothing else imports Textual."""
