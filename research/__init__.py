"""What makes what the package ships; the package itself imports nothing from here."""
