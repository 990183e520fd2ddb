"""The gene matrix is checked cell by cell, in every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from survfuse.cohort.omics_sheet import genes_per_type, is_measurement, read_omics_sheet
from survfuse.cohort.problems import SheetError


@pytest.fixture
def frame() -> pd.DataFrame:
    values = np.arange(12, dtype=float).reshape(3, 4)
    values[1, 2] = np.nan
    frame = pd.DataFrame(values, columns=["A_rnaseq", "B_rnaseq", "A_cnv", "B_mut"])
    frame.insert(0, "patient_id", ["P1", "P2", "P3"])
    return frame


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet"])
def test_formats_agree(tmp_path: Path, frame: pd.DataFrame, suffix: str) -> None:
    file = tmp_path / f"omics{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(file, index=False)
    else:
        frame.to_csv(file, index=False, sep="\t" if suffix == ".tsv" else ",")
    sheet = read_omics_sheet(file)
    assert sheet.ids.rows["patient_id"].to_dict() == {2: "P1", 3: "P2", 4: "P3"}
    assert sheet.columns == ("A_rnaseq", "B_rnaseq", "A_cnv", "B_mut")


def test_indexed_parquet(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.astype({"B_mut": bool}).set_index("patient_id").to_parquet(tmp_path / "o.parquet")
    assert read_omics_sheet(tmp_path / "o.parquet").ids.rows["patient_id"].tolist()[0] == "P1"


def test_parquet_problems(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame["note"] = "text"
    frame.loc[1, "A_rnaseq"] = -np.inf
    file = tmp_path / "o.parquet"
    frame.to_parquet(file, index=False)
    with pytest.raises(SheetError) as caught:
        read_omics_sheet(file)
    found = {(p.row, p.column): p.problem for p in caught.value.problems}
    assert found == {
        (3, "A_rnaseq"): "is not a finite number",
        (None, "note"): "holds string, not numbers",
    }


def test_parquet_with_repeated_column(tmp_path: Path) -> None:
    column = pa.array([1.0])
    table = pa.table([pa.array(["P1"]), column, column], names=["patient_id", "A", "A"])
    pq.write_table(table, tmp_path / "o.parquet")
    with pytest.raises(SheetError, match="appears 2 times"):
        read_omics_sheet(tmp_path / "o.parquet")


@pytest.mark.parametrize(
    ("file", "content", "fault"),
    [
        ("o.parquet", b"PAR1 and nothing else PAR1", "is not parquet"),
        ("o.parquet", b"", "is not parquet"),
        ("o.parquet", None, "no such file"),
        ("o.csv", b"id,A\nP1,1\n", "column is missing"),
        ("o.csv", b"patient_id,A\n", "no rows"),
    ],
)
def test_unreadable(tmp_path: Path, file: str, content: bytes | None, fault: str) -> None:
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(SheetError, match=fault):
        read_omics_sheet(tmp_path / file)


def test_first_bad_cell_of_each_column(tmp_path: Path) -> None:
    file = tmp_path / "o.csv"
    file.write_text('patient_id,A,B,C\nP1,1,"0,5",NA\nP2,x,"0,7",\nP3,y,,nan\n')
    with pytest.raises(SheetError) as caught:
        read_omics_sheet(file)
    found = [(p.row, p.column, p.value) for p in caught.value.problems]
    assert sorted(found) == [(2, "B", "0,5"), (3, "A", "x")]


@pytest.mark.parametrize("text", ["1_0", "inf", "1e999", "-", "n.a."])
def test_no_measurement(text: str) -> None:
    assert not is_measurement(text)


def test_longest_suffix_decides() -> None:
    columns = ["A_rna", "B_rna", "A_micro_rna", "C"]
    assert genes_per_type(columns, {"rna": "_rna", "mirna": "_micro_rna"}) == {"rna": 2, "mirna": 1}
    assert genes_per_type(columns, {"rest": "", "mirna": "_micro_rna"}) == {"rest": 3, "mirna": 1}
