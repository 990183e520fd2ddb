"""Cohort and patient reports: figures, tables, templates."""
