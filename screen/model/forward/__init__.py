"""One forward pass: plan -> lay out -> run -> project; and how sequences may share it, proved."""
