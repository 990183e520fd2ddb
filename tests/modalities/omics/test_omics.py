"""Gene sets, the packed matrix and its fold-fitted scaling."""

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from survfuse.config.omics import OmicsConfig
from survfuse.core.errors import UserInputError
from survfuse.modalities.omics.gene_sets import read_gene_sets
from survfuse.modalities.omics.matrix import (
    build_matrix,
    gene_of_column,
    gene_set_notes,
    measured_sets,
    read_matrix,
    write_matrix,
)
from survfuse.modalities.omics.scaling import fit_scaler


def test_gmt_and_wide_csv_read_alike(tmp_path: Path) -> None:
    gmt, wide = tmp_path / "sets.gmt", tmp_path / "sets.csv.gz"
    gmt.write_text("A\tfirst\tTP53\tMYC\tTP53\nB\t\tEGFR\n\n")
    wide.write_bytes(gzip.compress(b"A,B\nTP53,EGFR\nMYC,\nTP53\n"))
    expected = {"A": ("MYC", "TP53"), "B": ("EGFR",)}
    assert read_gene_sets(gmt) == expected
    assert read_gene_sets(wide) == expected


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.gmt", "A\tonly a description\n", "row 1"),
        ("a.gmt", "A\td\tX\nA\td\tY\n", "defined twice"),
        ("a.gmt", "", "holds no gene set"),
        ("a.csv", "A,B\nX,\n", "'B' lists no gene"),
        ("a.csv", "A,\nX,Y\n", "has no name"),
    ],
)
def test_bad_gene_sets_are_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserInputError, match=said) as caught:
        read_gene_sets(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.gmt", "A\td\tX, Y, Z\n", "row 1: genes of a GMT line are separated by tabs"),
        ("a.csv", "A\td\tX\tY\n", "needs the suffix .gmt"),
        ("a.csv", "A;B\nX;Y\n", "separated by semicolons"),
        ("a.csv", "gs_name,gene_symbol\nA,X\nA,Y\nB,X\nB,Z\n", "one column per set"),
        ("a.json", "{}", "are read from .gmt"),
        ("a.gmt", "\0\1\0\2", "is UTF-16 text or no text"),
        ("a.csv", '"A\n' + "x" * 200_000, "is not a CSV"),
    ],
)
def test_other_forms_of_gene_sets(tmp_path: Path, name: str, text: str, said: str) -> None:
    csv.field_size_limit(10**9)  # as other packages do
    (tmp_path / name).write_text(text)
    with pytest.raises(UserInputError, match=said):
        read_gene_sets(tmp_path / name)


def test_gene_sets_that_are_no_intact_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gmt")
    with pytest.raises(UserInputError, match="is a pipe"):
        read_gene_sets(tmp_path / "pipe.gmt")
    sets = "".join(f"S{i}\td\tG{i * 7919 % 10007}\n" for i in range(2000))
    packed = bytearray(gzip.compress(sets.encode(), mtime=0))
    packed[-6] ^= 1
    (tmp_path / "a.gmt.gz").write_bytes(packed)
    with pytest.raises(UserInputError, match="damaged"):
        read_gene_sets(tmp_path / "a.gmt.gz")
    with (tmp_path / "b.gmt").open("wb") as sparse:
        sparse.truncate((256 << 20) + 1)
    with pytest.raises(UserInputError, match="larger than"):
        read_gene_sets(tmp_path / "b.gmt")


def test_line_ends_of_windows(tmp_path: Path) -> None:
    (tmp_path / "a.gmt").write_bytes(b"\xef\xbb\xbfA\td\tX\tY\r\nB\td\tZ\r\n")
    (tmp_path / "a.csv").write_bytes(b"A,B\r\nX,Z\r\nY,\r\n")
    expected = {"A": ("X", "Y"), "B": ("Z",)}
    assert read_gene_sets(tmp_path / "a.gmt") == read_gene_sets(tmp_path / "a.csv") == expected


@pytest.mark.parametrize(
    ("columns", "members", "said"),
    [
        (["tp53", "myc", "egfr"], ["TP53", "MYC", "EGFR"], "in upper case would make it 3 of 3"),
        (["TP53|7157", "MYC|4609"], ["TP53", "MYC"], "before the bar"),
        (["ENSG00000141510.12", "ENSG00000136997.3"],
         ["ENSG00000141510", "ENSG00000136997"], "without the version"),
        (["TP53_rnaseq", "MYC_rnaseq"], ["TP53", "MYC"], "omics.suffixes"),
        (["7157", "4609"], ["TP53", "MYC"], "by Entrez numbers, the gene sets by symbols"),
        (["ENSG00000141510.12", "ENSG00000136997.3"], ["TP53", "MYC"], "by Ensembl ids"),
        (["TP53", "MYC"], ["TP53", "A", "B", "C"], "Of 4 genes of the gene sets 1 are measured"),
    ],
)  # fmt: skip
def test_gene_sets_that_shrink(
    tmp_path: Path, columns: list[str], members: list[str], said: str
) -> None:
    (tmp_path / "a.gmt").write_text("S\td\t" + "\t".join(members) + "\n")
    config = OmicsConfig(gene_sets=tmp_path / "a.gmt", min_genes=2)
    (note,) = gene_set_notes(tmp_path / "o.csv", columns, config)
    assert said in note.sentence and note.remedy
    if members[0] not in columns:
        with pytest.raises(UserInputError, match="no gene set has 2 genes"):
            measured_sets(tmp_path / "o.csv", columns, config)


def test_gene_sets_that_fit_have_no_note(tmp_path: Path) -> None:
    (tmp_path / "a.gmt").write_text("S\td\tTP53\tMYC\tABSENT\n")
    config = OmicsConfig(gene_sets=tmp_path / "a.gmt")
    assert gene_set_notes(tmp_path / "o.csv", ["TP53", "MYC", "EGFR"], config) == []


@given(st.binary(max_size=300), st.sampled_from(["x.gmt", "x.csv", "x.gmt.gz"]))
def test_garbage_gene_sets_never_crash(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("garbage") / name
    path.write_bytes(content)
    try:
        sets = read_gene_sets(path)
    except UserInputError as error:
        assert name in str(error)
    else:
        assert all(members for members in sets.values())


def test_longest_suffix_decides_and_empty_suffix_takes_the_rest() -> None:
    columns = ["TP53_rnaseq", "TP53_cnv", "AGE"]
    assert gene_of_column(columns, {"rna": "_rnaseq"}) == {"TP53_rnaseq": "TP53"}
    both = gene_of_column(columns, {"rna": "", "cnv": "_cnv"})
    assert both == {"TP53_rnaseq": "TP53_rnaseq", "TP53_cnv": "TP53", "AGE": "AGE"}


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    frame = pd.DataFrame(
        {
            "patient_id": ["P2", "P1", "P9"],
            "EGFR_rna": [1.0, 2.0, 3.0],
            "TP53_rna": [4.0, np.nan, 6.0],
            "TP53_cnv": [0, 1, -1],
            "LONE_rna": [7.0, 8.0, 9.0],
        }
    )
    frame.to_csv(tmp_path / "omics.csv", index=False)
    (tmp_path / "sets.gmt").write_text("one\td\tTP53\tEGFR\ntwo\td\tTP53\tLONE\nrare\td\tABSENT\n")
    return tmp_path / "omics.csv"


def test_groups_are_packed_with_repeats_and_round_trip(sheet: Path, tmp_path: Path) -> None:
    config = OmicsConfig(
        suffixes={"rna": "_rna", "cnv": "_cnv"}, gene_sets=tmp_path / "sets.gmt", min_genes=2
    )
    matrix = build_matrix(sheet, config, ["P1", "P2"])
    assert matrix.patient_ids.tolist() == ["P1", "P2"]
    assert matrix.features.tolist() == ["EGFR_rna", "LONE_rna", "TP53_cnv", "TP53_rna"]
    assert matrix.groups.tolist() == ["one", "two"]
    assert matrix.group_widths == (3, 3)
    assert matrix.group_index.tolist() == [0, 2, 3, 1, 2, 3]
    write_matrix(tmp_path / "omics.npz", matrix)
    again = read_matrix(tmp_path / "omics.npz")
    np.testing.assert_array_equal(again.values, matrix.values)
    assert again.groups.tolist() == matrix.groups.tolist()


def test_rows_join_by_id_whatever_the_order(sheet: Path) -> None:
    matrix = build_matrix(sheet, OmicsConfig(suffixes={"rna": "_rna"}))
    values, present = matrix.rows(["P9", "nobody", "P1"])
    assert present.tolist() == [True, False, True]
    assert values[0].tolist() == [3.0, 9.0, 6.0]
    assert np.isnan(values[1]).all()
    with pytest.raises(ValueError, match="repeated"):
        matrix.rows(["P1", "P1"])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("patient_id,A\nP1,1\nP1,2\n", "repeats row 2"),
        ("patient_id,A\nP1,high\n", "is not a finite number"),
        ("id,A\nP1,1\n", "patient_id"),
        ("patient_id,A_x\nP1,1\n", "set omics.suffixes"),
    ],
)
def test_bad_matrices_are_named(tmp_path: Path, table: str, said: str) -> None:
    path = tmp_path / "genes.csv"
    path.write_text(table)
    with pytest.raises(UserInputError, match=said):
        build_matrix(path, OmicsConfig(suffixes={"rna": "" if "A_x" not in table else "_rna"}))


def test_patients_may_be_called_like_missing_values(tmp_path: Path) -> None:
    path = tmp_path / "genes.csv"
    path.write_text("patient_id, A,B\nNA,1,na\nnull,2,\nP1,3,4\n")
    (tmp_path / "sets.gmt").write_text("one\t\tA\tB\n")
    matrix = build_matrix(path, OmicsConfig(gene_sets=tmp_path / "sets.gmt"), ["NA", "null"])
    assert matrix.patient_ids.tolist() == ["NA", "null"]
    np.testing.assert_array_equal(matrix.values, [[1, np.nan], [2, np.nan]])


def test_scaling_by_hand() -> None:
    config = OmicsConfig(winsorise=0.0, max_missing=0.4)
    train = np.array(
        [[1.0, 5.0, np.nan, 1.0], [3.0, 5.0, np.nan, np.nan], [5.0, 5.0, 2.0, 3.0]], np.float32
    )
    scaler = fit_scaler(train, config)
    assert scaler.used.tolist() == [True, False, False, True]  # constant; missing in 2 of 3
    out = scaler.transform(np.array([[3.0, 9.0, 2.0, np.nan], [99.0, 5.0, 2.0, 1.0]], np.float32))
    assert out[0].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert out[1, 0] == pytest.approx(2 / np.std([1, 3, 5]))  # clipped to 5, mean 3
    assert out[1, 3] == pytest.approx(-1.0)


def test_scaling_ignores_an_outlier_in_the_training_tail() -> None:
    values = np.linspace(-1, 1, 200, dtype=np.float32)[:, None].copy()
    wild = values.copy()
    wild[-1] = 1e4
    config = OmicsConfig(winsorise=0.01)
    plain, robust = fit_scaler(values, config), fit_scaler(wild, config)
    assert robust.std[0] == pytest.approx(plain.std[0], rel=0.02)


def test_published_group_sizes(real_data: Path, tmp_path: Path) -> None:
    """The six families of MCAT's signatures on its BLCA table have the published widths."""
    frame = pd.read_csv(real_data / "tcga/mcat/tcga_blca_sig_all_clean.csv.gz", index_col=0)
    frame = frame.drop_duplicates("case_id").rename(columns={"case_id": "patient_id"})
    genes = [name for name in frame.columns if name.endswith(("_rnaseq", "_cnv"))]
    frame[["patient_id", *genes]].to_parquet(tmp_path / "genes.parquet")
    config = OmicsConfig(
        suffixes={"rna": "_rnaseq", "cnv": "_cnv"},
        gene_sets=real_data / "genesets/signatures.csv.gz",
    )
    matrix = build_matrix(tmp_path / "genes.parquet", config)
    assert matrix.group_widths == (94, 334, 521, 468, 1496, 479)
