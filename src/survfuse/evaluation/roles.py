"""What rows of a leaderboard are there for, and in which order they stand."""

from __future__ import annotations

CLINICAL = "clinical"  # the row with which all others are compared
ORDER = {"site": 0, CLINICAL: 1, "control": 3, "oracle": 4}  # all other roles: 2
# Models that are given several modalities, and so have to beat the best that is given one.
COMBINING = ("fusion", "late", "classical")
