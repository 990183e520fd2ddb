"""Whole-slide images: tissue, tiles, embeddings, and the files that hold them."""
