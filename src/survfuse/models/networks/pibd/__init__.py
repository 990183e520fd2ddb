"""PIBD: prototypical information bottleneck and disentangling."""
