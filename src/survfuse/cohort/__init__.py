"""Checking the patients of a study, and all their tables."""
