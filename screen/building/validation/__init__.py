"""Is a vector any good: held-out separation, steering, controls; and the choice of its layer."""
