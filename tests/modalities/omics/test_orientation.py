"""Gene matrices with genes in rows: recognised, and read where the configuration says so."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cohort_fixture import Case, problems_of
from survfuse.cohort.check import check_cohort
from survfuse.config.omics import OmicsConfig
from survfuse.modalities.omics.matrix import build_matrix
from survfuse.modalities.omics.sheet import read_omics_sheet
from survfuse.sheets.problems import SheetError

KNOWN = ["P1", "P2", "P3"]
CBIOPORTAL = "Hugo_Symbol\tEntrez_Gene_Id\tP1\tP2\tP3\nTP53\t7157\t1\t2\t3\nMYC\t4609\t4\tNA\t6\n"


def write(path: Path, text: str) -> Path:
    """The text with the delimiter and the packing that the suffixes promise."""
    text = text.replace("\t", ",") if ".csv" in path.name else text
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["o.tsv", "o.csv", "o.txt", "o.csv.gz"])
def test_genes_in_rows_are_turned(tmp_path: Path, name: str) -> None:
    sheet = read_omics_sheet(write(tmp_path / name, CBIOPORTAL), "genes_in_rows", KNOWN)
    assert sheet.ids.rows["patient_id"].tolist() == KNOWN
    assert sheet.columns == ("TP53", "MYC")
    np.testing.assert_array_equal(sheet.values, [[1, 4], [2, np.nan], [3, 6]])


@pytest.mark.parametrize("indexed", [None, "gene_name", "named"])
def test_parquet_with_genes_in_rows(tmp_path: Path, indexed: str | None) -> None:
    frame = pd.DataFrame({"P1": [1.0, 4], "P2": [2, np.nan], "P3": [3.0, 6]}, index=["TP53", "MYC"])
    if indexed == "named":
        frame = frame.rename_axis("gene")
    elif indexed:
        frame = frame.rename_axis(indexed).reset_index()
    frame.to_parquet(tmp_path / "o.parquet")
    sheet = read_omics_sheet(tmp_path / "o.parquet", "genes_in_rows", KNOWN)
    assert sheet.columns == ("TP53", "MYC")
    np.testing.assert_array_equal(sheet.values, [[1, 4], [2, np.nan], [3, 6]])


@pytest.mark.parametrize(
    "header",
    [
        "Hugo_Symbol\tEntrez_Gene_Id\tP1\tP2\tP3",
        "sample\tlength\tP1\tP2\tP3",
        "\tchr\tP1-01\tP2-01\tP3-11",
        "patient_id\tlength\tP1\tP2\tP3",
        "gene_id\tgene_name\tX1\tX2\tX3",
    ],
)
def test_genes_in_rows_are_recognised(tmp_path: Path, header: str) -> None:
    file = write(tmp_path / "o.tsv", f"{header}\nTP53\t1\t1\t2\t3\nMYC\t2\t4\t5\t6\n")
    with pytest.raises(SheetError) as caught:
        read_omics_sheet(file, known=KNOWN)
    (problem,) = caught.value.problems
    assert "patients stand in the columns" in problem.problem
    assert "omics.orientation: genes_in_rows" in problem.remedy and "transpose" in problem.remedy


def test_patients_in_rows_are_recognised(tmp_path: Path) -> None:
    file = write(tmp_path / "o.tsv", "patient_id\tTP53\nP1\t1\n")
    with pytest.raises(SheetError, match=r"patients stand in the rows.*remove omics\.orientation"):
        read_omics_sheet(file, "genes_in_rows", KNOWN)


def test_a_wrong_name_of_the_id_column_is_still_told_as_one(tmp_path: Path) -> None:
    file = write(tmp_path / "o.tsv", "sample\tTP53\nP1\t1\n")
    with pytest.raises(SheetError, match="column is missing"):
        read_omics_sheet(file, known=KNOWN)


def test_nameless_and_repeated_genes_are_noted(tmp_path: Path) -> None:
    text = CBIOPORTAL + "\t1\t0\t0\t0\nMYC\t4609\t7\t8\t9\n"
    sheet = read_omics_sheet(write(tmp_path / "o.tsv", text), "genes_in_rows", KNOWN)
    assert sheet.columns == ("TP53", "MYC")
    assert sheet.values[:, 1].tolist()[0] == 4
    nameless, repeated = sheet.ids.notes
    assert nameless.sentence.endswith("left out: 1.") and repeated.example == "MYC"


def test_tables_that_r_and_gct_write(tmp_path: Path) -> None:
    file = write(tmp_path / "r.tsv", "P1\tP2\nTP53\t1\t2\nMYC\t3\t4\n")
    with pytest.raises(SheetError, match="R leaves out the name of the first column") as caught:
        read_omics_sheet(file, "genes_in_rows", KNOWN)
    assert len(caught.value.problems) == 1
    file = write(tmp_path / "gct.txt", "#1.2\n2\t1\nName\tDescription\tP1\nTP53\tx\t1\n")
    for orientation in ("genes_in_rows", "patients_in_rows"):
        with pytest.raises(SheetError, match="remove the first two lines"):
            read_omics_sheet(file, orientation, KNOWN)  # type: ignore[arg-type]


def test_parquet_pages_are_compared_with_their_checksums(tmp_path: Path) -> None:
    frame = pd.DataFrame({"patient_id": KNOWN, "A": [1.25, 2.5, 3.75]})
    plain = {"compression": "NONE", "use_dictionary": False, "write_page_checksum": True}
    frame.to_parquet(tmp_path / "o.parquet", index=False, **plain)
    content = bytearray((tmp_path / "o.parquet").read_bytes())
    content[content.index(np.float64(2.5).tobytes())] ^= 1
    (tmp_path / "o.parquet").write_bytes(content)
    with pytest.raises(SheetError, match="is damaged"):
        read_omics_sheet(tmp_path / "o.parquet")


def test_repeated_patients_in_columns(tmp_path: Path) -> None:
    for header, fault in (("g\tP1\tP1", "appears 2 times"), ("g\tP1\tp1", "by case alone")):
        file = write(tmp_path / "o.tsv", f"{header}\nTP53\t1\t2\n")
        with pytest.raises(SheetError, match=fault):
            read_omics_sheet(file, "genes_in_rows", KNOWN)


def test_the_check_names_the_key_and_the_key_works(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.omics = [["Hugo_Symbol", *column] if i == 0 else [case.omics[0][i], *column]
                  for i, column in enumerate(zip(*case.omics[1:], strict=True))]  # fmt: skip
    (problem,) = problems_of(case.config("slides"))
    assert "24 of 24 columns are named after patients" in problem.problem
    case.change("omics", orientation="genes_in_rows")
    config = case.config("slides")
    assert len(check_cohort(config).tables["omics"]) == 24
    assert config.cohort.omics is not None
    matrix = build_matrix(config.cohort.omics, config.omics, ["P03", "P01"])
    assert matrix.patient_ids.tolist() == ["P01", "P03"]
    assert matrix.features.tolist() == ["EGFR", "TP53"]


NAME = st.text("ABCxyz059 ,;|\t'\"-._ü", min_size=1, max_size=6).map(str.strip).filter(bool)
# The largest number of 32 bits is written with fewer digits than it has, as a larger one.
NUMBERS = st.floats(-(2.0**120), 2.0**120, width=32)


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    data=st.data(),
    genes=st.lists(NAME, min_size=1, max_size=4, unique_by=str.casefold),
    turned=st.booleans(),
    suffix=st.sampled_from([".csv", ".tsv", ".txt.gz", ".csv.gz", ".parquet"]),
)
def test_round_trip(
    tmp_path: Path, data: st.DataObject, genes: list[str], turned: bool, suffix: str
) -> None:
    """What a writer wrote comes back, whatever the form, the quotes and the orientation."""
    cell = st.one_of(NUMBERS, st.just(None))
    rows = data.draw(st.lists(st.tuples(*[cell] * len(genes)), min_size=2, max_size=4))
    frame = pd.DataFrame(rows, columns=genes, index=[f"T{i}" for i in range(len(rows))])
    frame = frame.astype("float32")
    file = tmp_path / f"o{suffix}"
    written = (frame.T if turned else frame).rename_axis("symbol" if turned else "patient_id")
    if suffix == ".parquet":
        written.reset_index().to_parquet(file, index=False)
    else:
        text = io.StringIO()
        quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        separator = "," if "csv" in suffix else "\t"
        written.to_csv(text, sep=separator, quoting=quoting, na_rep=data.draw(
            st.sampled_from(["NA", "nan", "[Not Available]"])))  # fmt: skip
        content = text.getvalue().encode()
        file.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    sheet = read_omics_sheet(file, "genes_in_rows" if turned else "patients_in_rows", frame.index)
    assert sheet.ids.rows["patient_id"].tolist() == list(frame.index)
    assert list(sheet.columns) == genes
    np.testing.assert_array_equal(sheet.values, frame.to_numpy())


def test_logarithms_are_taken_patient_by_patient(tmp_path: Path) -> None:
    file = write(tmp_path / "o.tsv", "patient_id\tA_r\tB_r\tA_c\nP1\t1\t3\t-1\nP2\t0\t\t2\n")
    kinds = {"rna": "_r", "cnv": "_c"}
    config = OmicsConfig(suffixes=kinds, min_genes=1, transform={"rna": "log2_plus_1"})
    np.testing.assert_allclose(build_matrix(file, config).values, [[-1, 1, 2], [2, 0, np.nan]])
    config = OmicsConfig(suffixes=kinds, min_genes=1, transform={"rna": "log2_cpm"})
    expected = [[-1, np.log2(250_001), np.log2(750_001)], [2, 0, np.nan]]
    np.testing.assert_allclose(build_matrix(file, config).values, expected, rtol=1e-6)
    alone = build_matrix(file, config, ["P1"]).values
    np.testing.assert_allclose(alone, expected[:1], rtol=1e-6)
    with pytest.raises(SheetError, match=r"-1 +is negative, omics\.transform"):
        build_matrix(file, OmicsConfig(suffixes=kinds, transform="log2_plus_1"))
    others = OmicsConfig(suffixes=kinds, min_genes=1, transform={"cnv": "log2_plus_1"})
    assert build_matrix(file, others, ["P2"]).patient_ids.tolist() == ["P2"], "P1 is negative"
    with pytest.raises(ValueError, match="names the data type dna"):
        OmicsConfig(suffixes=kinds, transform={"dna": "log2_cpm"})
