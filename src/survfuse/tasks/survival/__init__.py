"""Survival: hazards, their predictions, metrics and statements."""
