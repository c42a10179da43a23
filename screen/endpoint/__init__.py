"""OpenAI-compatible endpoints: the client, and a server that answers in place of the model here."""
