"""What a PET is worth, and a synthetic one in its place."""
