"""The networks that turn a tile into a vector."""
