"""Outer folds by patient, and what a training part may know of them."""
