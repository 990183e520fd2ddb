"""Survival has no section of its own: it is asked for where no other task is."""

from __future__ import annotations

SECTION = None  # what it reads, `cohort.endpoint`, other tasks may read too
