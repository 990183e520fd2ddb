"""The command line: one command per stage, and the only thing that the workflow calls."""
