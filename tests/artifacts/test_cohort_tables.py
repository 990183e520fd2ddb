"""Tables of the cohort directory survive the round trip."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from survfuse.artifacts.cohort_tables import (
    read_clinical,
    read_outcomes,
    read_slides,
    write_table,
)
from survfuse.core.errors import UserInputError


def test_outcomes_round_trip_exactly(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"patient_id": ["007", "NA"], "time_months": [1 / 3, 100 / 30.4375], "event": [1, 0]}
    )
    write_table(tmp_path / "o.tsv", frame)
    pd.testing.assert_frame_equal(read_outcomes(tmp_path / "o.tsv"), frame)


def test_text_stays_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"patient_id": ["1e5"], "site": ['the "old" one'], "age": [""]})
    write_table(tmp_path / "c.tsv", frame)
    pd.testing.assert_frame_equal(read_clinical(tmp_path / "c.tsv"), frame)


def test_lacking_column_and_file(tmp_path: Path) -> None:
    write_table(tmp_path / "c.tsv", pd.DataFrame({"patient_id": ["P1"]}))
    with pytest.raises(UserInputError, match=r"c\.tsv: the column slide_id is missing"):
        read_slides(tmp_path / "c.tsv")
    with pytest.raises(UserInputError, match=r"none\.tsv: no such table; run the stage"):
        read_clinical(tmp_path / "none.tsv")
    (tmp_path / "e.tsv").write_bytes(b"")
    with pytest.raises(UserInputError, match="not readable as a tab-separated table"):
        read_clinical(tmp_path / "e.tsv")
