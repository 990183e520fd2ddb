"""From a finished study to patients who were not in it."""
