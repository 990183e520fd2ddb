"""The pages of a survival study."""
