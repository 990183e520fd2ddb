"""Sections that pages of several kinds share."""
