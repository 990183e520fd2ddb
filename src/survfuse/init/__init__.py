"""From the sheets of one's own cohort to a configuration that `check-cohort` accepts."""
