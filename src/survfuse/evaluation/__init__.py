"""What is common to the evaluation of all tasks: rows, roles, records, explanations."""
