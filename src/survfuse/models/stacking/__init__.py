"""Ridge Cox models of blocks of inputs, and their cross-fitted combination."""
