"""Embeddings of slides that other tools wrote."""
