"""The recipe of the embedded model: learns it, makes its vectors, measures both. Read train.py first."""
