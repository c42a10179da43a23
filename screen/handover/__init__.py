"""What is handed over of a finished run: a cleaned file, weights, a bundle to sign off, a dataset card."""

KINDS = ("clean", "weights", "inoculation", "audit", "hub")  # of `screen export --as`
