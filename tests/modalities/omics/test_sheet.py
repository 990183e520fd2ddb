"""The gene matrix is checked cell by cell, in every format."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from survfuse.modalities.omics.cells import measurement
from survfuse.modalities.omics.sheet import genes_per_type, read_omics_sheet
from survfuse.sheets.problems import SheetError
from survfuse.sheets.text_table import check_unique


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
        ("o.parquet", b"PAR1 and nothing else PAR1", "is not Parquet"),
        ("o.parquet", b"", "is not Parquet"),
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


def test_an_empty_id_is_told(tmp_path: Path) -> None:
    file = tmp_path / "o.csv"
    file.write_text("A,B,patient_id\n1,2,P1\n3,4,\n")
    (found,) = check_unique(read_omics_sheet(file).ids, "patient_id")
    assert (found.row, found.problem) == (3, "is empty")
    assert "write the id, or remove the row" in found.remedy


def test_a_suffix_of_no_gene_matrix(tmp_path: Path) -> None:
    with pytest.raises(SheetError) as caught:
        read_omics_sheet(tmp_path / "genes.rds")
    assert caught.value.problems[0].remedy == "use .parquet, .csv or .tsv, the latter also .gz"


@pytest.mark.parametrize("name", ["o.csv", "o.CSV", "o.tsv.gz", "o.csv.GZ", "o.parquet"])
def test_numbers_are_kept_where_asked(tmp_path: Path, name: str) -> None:
    """The checked cells are those that are encoded, whatever the form of the file."""
    file = tmp_path / name
    separator = "\t" if ".tsv" in name else ","
    text = "patient_id, A,B \nNA,1, nA\nnull, ,2.5\nNone,-3e2,NAN\n".replace(",", separator)
    if name.endswith("parquet"):
        ids = pa.array([" NA", "null", "None"])
        values = [pa.array([1, None, -300]), pa.array([np.nan, 2.5, None])]
        pq.write_table(pa.table([ids, *values], names=["patient_id", "A", "B"]), file)
    else:
        packed = name.lower().endswith(".gz")
        file.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    sheet = read_omics_sheet(file)
    assert sheet.ids.rows["patient_id"].tolist() == ["NA", "null", "None"]
    assert sheet.columns == ("A", "B")
    np.testing.assert_array_equal(sheet.values, [[1, np.nan], [np.nan, 2.5], [-300, np.nan]])
    assert sheet.values.dtype == np.float32


def test_parquet_of_other_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"patient_id": [7, 8], "flag": [True, None], "A": [1.5, 2.5]})
    frame.index = [3, 4]  # stored as a column without a name
    frame.to_parquet(tmp_path / "o.parquet")
    sheet = read_omics_sheet(tmp_path / "o.parquet")
    assert sheet.ids.rows["patient_id"].tolist() == ["7", "8"]
    assert sheet.columns == ("flag", "A")
    np.testing.assert_array_equal(sheet.values, [[1, 1.5], [np.nan, 2.5]])
    frame["A"] = [1e39, 0]
    frame.to_parquet(tmp_path / "o.parquet")
    with pytest.raises(SheetError, match=r"1e\+39 +is not a finite number"):
        read_omics_sheet(tmp_path / "o.parquet")


def test_first_bad_cell_of_each_column(tmp_path: Path) -> None:
    file = tmp_path / "o.csv"
    file.write_text('patient_id,A,B,C\nP1,1,"0,5",NA\nP2,x,"0,7",\nP3,y,,nan\n')
    with pytest.raises(SheetError) as caught:
        read_omics_sheet(file)
    found = [(p.row, p.column, p.value) for p in caught.value.problems]
    assert sorted(found) == [(2, "B", "0,5"), (3, "A", "x")]


@pytest.mark.parametrize("text", ["1_0", "inf", "1e999", "1e39", "-", "n.a."])
def test_no_measurement(text: str) -> None:
    assert measurement(text) is None


def test_longest_suffix_decides() -> None:
    columns = ["A_rna", "B_rna", "A_micro_rna", "C"]
    assert genes_per_type(columns, {"rna": "_rna", "mirna": "_micro_rna"}) == {"rna": 2, "mirna": 1}
    assert genes_per_type(columns, {"rest": "", "mirna": "_micro_rna"}) == {"rest": 3, "mirna": 1}


def test_types_that_pandas_and_databases_write(tmp_path: Path) -> None:
    """pandas, Arrow, Spark: half floats, int8, nullable numbers, categories, decimals."""
    ids, decimals = ["P1", "P2", "P3"], [Decimal("1.50"), Decimal("2.25"), Decimal("3.00")]
    columns = {
        "patient_id": pa.array(ids).dictionary_encode(),
        "half": pa.array(np.array([1.5, 2.25, 3], np.float16)),
        "byte": pa.array([1, 2, 3], pa.int8()),
        "nullable": pa.array([1, None, 3], pa.int64()),
        "decimal": pa.array(decimals),
        "\u03b2-actin/HLA A": pa.array([1.0, 2.0, 3.0]),
    }
    pq.write_table(pa.table(columns), tmp_path / "o.parquet")
    sheet = read_omics_sheet(tmp_path / "o.parquet")
    assert sheet.ids.rows["patient_id"].tolist() == ids
    assert sheet.columns == tuple(columns)[1:]
    wanted = [[1.5, 1, 1, 1.5, 1], [2.25, 2, np.nan, 2.25, 2], [3, 3, 3, 3, 3]]
    np.testing.assert_array_equal(sheet.values, wanted)


def test_ids_that_became_decimals(tmp_path: Path) -> None:
    """pandas: a column of whole numbers with one that is missing is one of decimals (CLAM, too)."""
    frame = pd.DataFrame({"patient_id": [101.0, 102.0, np.nan], "TP53": [1.0, 2.0, 3.0]})
    frame.to_parquet(tmp_path / "o.parquet")
    sheet = read_omics_sheet(tmp_path / "o.parquet")
    assert sheet.ids.rows["patient_id"].tolist() == ["101", "102", ""]
    (problem,) = check_unique(sheet.ids, "patient_id")
    assert (problem.row, problem.problem) == (4, "is empty")


def test_an_index_without_a_name(tmp_path: Path, frame: pd.DataFrame) -> None:
    """pandas: `to_parquet` keeps an index, and nobody gave it a name."""
    unnamed = frame.set_index("patient_id").rename_axis(None)
    unnamed.to_parquet(tmp_path / "o.parquet")
    with pytest.raises(SheetError) as caught:
        read_omics_sheet(tmp_path / "o.parquet")
    (problem,) = caught.value.problems
    assert problem.problem == "the patients are an index of pandas without a name"
    assert 'frame.index.name = "patient_id"' in problem.remedy
