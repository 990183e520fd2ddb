"""Neural networks: tensors in, tensors out. Adding one: a file and a line in `registry`."""
