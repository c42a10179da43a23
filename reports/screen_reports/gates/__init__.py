"""What gates come to, for people and for the tools of others: terminal, GitHub, JUnit, SARIF, JSON."""
