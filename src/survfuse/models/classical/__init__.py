"""Models that read one row of numbers per patient."""
