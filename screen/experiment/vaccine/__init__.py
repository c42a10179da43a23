"""Preventative steering tried out: small fine-tunings by coefficient, and the smallest that holds the trait down."""
