"""What is on disk between stages: one module per table or file, which alone knows its format."""
