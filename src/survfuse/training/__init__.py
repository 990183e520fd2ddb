"""Fitting networks and other rows on the training part of a fold, and predicting the rest."""
