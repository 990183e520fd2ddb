"""Radiomics: a table of features for each patient, measured elsewhere on images of any kind."""
