"""Sheets from the published tables of TCGA, HANCOCK and OASIS."""
