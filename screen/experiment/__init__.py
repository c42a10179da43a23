"""What training does with the rows that the screen ranks: arms of equal tokens, fine-tuned, measured, compared."""
