"""Synthesis of a brain volume that a patient lacks, fitted within each outer fold."""
