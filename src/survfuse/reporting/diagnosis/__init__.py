"""The pages of a diagnosis."""
