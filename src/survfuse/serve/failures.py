"""How defects are reported: to people a sentence, to the log the place, and to nobody a value."""

from __future__ import annotations

import traceback
from pathlib import Path

SHOWN_PLACES = 4
OF_PAGE = "Something went wrong in survfuse; whoever runs this page finds the place in its log."
FULL = "The disk or the memory of this machine is full; tell whoever runs this page."
OF_RUN = (
    "The work on this run ended without an answer, which is a defect of survfuse or a lack of "
    "memory, and not a fault of what was sent. Nothing was predicted; send it again, and tell "
    "whoever runs this page if it happens twice."
)


def place_of(error: Exception) -> str:
    """Kind and place of a failure; never its message, which may hold values of a patient."""
    frames = traceback.extract_tb(error.__traceback__)[-SHOWN_PLACES:]
    where = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(frames))
    return f"{type(error).__name__} at {where}"
