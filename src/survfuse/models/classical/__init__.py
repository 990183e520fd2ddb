"""The kinds of models that are no networks: they read one row of numbers for each patient."""
