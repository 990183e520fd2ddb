"""What is learned of a diagnosis: by rows that can learn nothing, and by networks."""
