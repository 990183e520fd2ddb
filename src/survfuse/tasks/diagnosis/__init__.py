"""Diagnosis: classes, their predictions, metrics and statements."""
