"""What is dear to make again, kept on disk by content: generated answers, judgements."""
