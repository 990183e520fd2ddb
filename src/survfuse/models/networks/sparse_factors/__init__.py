"""Sparse factors: few effects of many columns, and what two modalities do together."""
