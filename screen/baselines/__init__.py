"""What an answer is compared with: baseline responses of the base model, or answers that the user gave."""
