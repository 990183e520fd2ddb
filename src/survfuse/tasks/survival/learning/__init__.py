"""What is learned of survival: by rows that can learn nothing, and by networks."""
