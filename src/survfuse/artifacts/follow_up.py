"""Follow-up as training reads it: times, and whether the event was observed at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

# In the tables of every task that has it.
COLUMNS: dict[str, type] = {"time_months": float, "event": int}


@dataclass(frozen=True)
class FollowUp:
    """Of n patients, all of whom can be learned from."""

    time_months: np.ndarray  # (n,)
    event: np.ndarray  # (n,) bool

    def __getitem__(self, rows: np.ndarray) -> FollowUp:
        return FollowUp(self.time_months[rows], self.event[rows])

    @property
    def known(self) -> np.ndarray:
        """(n,) bool, true."""
        return np.ones(len(self.event), dtype=bool)

    def counted(self) -> dict[str, int]:
        """Events."""
        return {"n_events": int(self.event.sum())}


def follow_up_in(frame: pd.DataFrame) -> FollowUp:
    """That of a table with the columns time_months and event."""
    time, event = (frame[name].to_numpy(dtype=kind) for name, kind in COLUMNS.items())
    return FollowUp(time, event.astype(bool))
