"""Tables that are none, are damaged, cut, packed or saved otherwise: one problem, the remedy."""

from __future__ import annotations

import gzip
import os
import resource
from pathlib import Path

import pytest

from survfuse.modalities.omics.sheet import read_omics_sheet
from survfuse.sheets import text_lines
from survfuse.sheets.problems import Problem, SheetError
from survfuse.sheets.text_table import read_sheet

HEADER = "patient_id\tage\tsex\n"


def problem_of(path: Path, matrix: bool = False) -> Problem:
    """The one problem of a table."""
    with pytest.raises(SheetError) as caught:
        read_omics_sheet(path) if matrix else read_sheet(path, ["patient_id"])
    (problem,) = caught.value.problems
    assert problem.file == str(path) and problem.remedy
    return problem


@pytest.mark.parametrize("matrix", [False, True])
@pytest.mark.parametrize("name", ["t.tsv", "t.csv.gz"])
def test_pipes_and_folders_never_hang(tmp_path: Path, name: str, matrix: bool) -> None:
    os.mkfifo(tmp_path / name)
    assert "is a pipe" in problem_of(tmp_path / name, matrix).problem
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert "is a folder" in problem_of(tmp_path / name, matrix).problem


def test_a_device_never_ends(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").symlink_to("/dev/zero")
    assert "device" in problem_of(tmp_path / "t.tsv").problem
    (tmp_path / "o.parquet").symlink_to("/dev/zero")
    assert "device" in problem_of(tmp_path / "o.parquet", matrix=True).problem


@pytest.mark.parametrize("matrix", [False, True])
def test_an_endless_line_is_refused_with_little_memory(tmp_path: Path, matrix: bool) -> None:
    file = tmp_path / "o.csv.gz"
    block = gzip.compress(b"0" * (32 << 20), 1)
    file.write_bytes(block * 20)  # 640 MB in one line
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "64 million characters" in problem_of(file, matrix).problem
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 400_000


def test_packed_and_plain_ceilings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_lines, "FREE_BYTES", 10_000)
    bomb = tmp_path / "o.csv.gz"
    bomb.write_bytes(gzip.compress(b"patient_id,A\n" + b"\n" * 1_000_000))
    assert "unpacks to more than" in problem_of(bomb, matrix=True).problem
    content = "patient_id,A\n" + "".join(f"P{i},{i * 37 % 1009}\n" for i in range(2000))
    bomb.write_bytes(gzip.compress(content.encode()))
    assert len(read_omics_sheet(bomb).ids.rows) == 2000
    with (tmp_path / "t.tsv").open("wb") as sparse:
        sparse.truncate(text_lines.LARGEST_SHEET_BYTES + 1)
    assert "is larger than 1 GiB" in problem_of(tmp_path / "t.tsv").problem


@pytest.mark.parametrize("place", [100, -6])
def test_a_damaged_gzip_is_read_to_its_checksum(tmp_path: Path, place: int) -> None:
    text = "patient_id,A\n" + "".join(f"P{i},{i * 7919 % 10007}\n" for i in range(3000))
    packed = bytearray(gzip.compress(text.encode(), mtime=0))
    packed[place] ^= 4
    (tmp_path / "o.csv.gz").write_bytes(packed)
    for matrix in (True, False):
        with pytest.raises(SheetError):
            read_omics_sheet(tmp_path / "o.csv.gz") if matrix else read_sheet(
                tmp_path / "o.csv.gz", ["patient_id"]
            )


@pytest.mark.parametrize(
    ("content", "said", "remedy"),
    [
        (HEADER.encode("utf-16"), "UTF-16", "CSV UTF-8"),
        (HEADER.encode("utf-16-le"), "UTF-16", "CSV UTF-8"),
        (b"PK\x03\x04 and more", "Excel workbook", "CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0 and more", "old Excel", "CSV UTF-8"),
        (gzip.compress(HEADER.encode(), mtime=0), "packed with gzip", "add .gz"),
        (b"PAR1 and more", "Parquet", ".parquet"),
        (b"<!DOCTYPE html><html>", "web page", "download"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS", "git lfs pull"),
    ],
)
def test_other_files_under_the_name_of_a_table(
    tmp_path: Path, content: bytes, said: str, remedy: str
) -> None:
    (tmp_path / "t.tsv").write_bytes(content)
    for matrix in (False, True):
        problem = problem_of(tmp_path / "t.tsv", matrix)
        assert said in problem.problem and remedy in problem.remedy


@pytest.mark.parametrize("suffix", [".xlsx", ".xls", ".ods"])
def test_workbooks(tmp_path: Path, suffix: str) -> None:
    for matrix in (False, True):
        problem = problem_of(tmp_path / f"t{suffix}", matrix)
        assert "workbook" in problem.problem and "CSV" in problem.remedy


@pytest.mark.parametrize(
    ("name", "text", "said", "remedy"),
    [
        ("t.csv", "patient_id;A;B\nP1;0,5;1,5\nP2;0,7;2,5\n", "semicolons", "decimal points"),
        ("t.csv", '"patient_id";"A";"B"\n"P1";0,5;1,5\n', "semicolons", "decimal points"),
        ("t.csv", "patient_id\tA\tB\nP1\t1\t2\n", "tabs", ".tsv"),
        ("t.tsv", "patient_id,A,B\nP1,1,2\n", "commas", ".csv"),
        ("t.txt", "patient_id|A|B\nP1|1|2\n", "vertical bars", "tabs"),
    ],
)
def test_another_delimiter_is_one_problem(
    tmp_path: Path, name: str, text: str, said: str, remedy: str
) -> None:
    (tmp_path / name).write_text(text)
    for matrix in (False, True):
        problem = problem_of(tmp_path / name, matrix)
        assert said in problem.problem and remedy in problem.remedy


def test_decimal_commas_between_tabs_are_one_problem(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("patient_id\tA\tB\tC\nP1\t0,5\t1,5\t-2,5\n")
    problem = problem_of(tmp_path / "t.tsv", matrix=True)
    assert "2 other columns" in problem.problem and "decimal points" in problem.remedy


def test_nul_bytes(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(HEADER.encode() * 40 + b"P1\t" + b"\0" * 20 + b"\tf\n")
    with pytest.raises(SheetError, match="cell 2 holds a NUL byte"):
        read_sheet(tmp_path / "t.tsv", ["patient_id"])


def test_short_rows_of_a_sheet_are_noted(tmp_path: Path) -> None:
    """Spreadsheet programs leave empty cells at the end of a row out."""
    file = tmp_path / "t.tsv"
    file.write_text(HEADER + "P1\t50\nP2\t60\tf\nP3\n")
    sheet = read_sheet(file, ["patient_id"])
    assert sheet.rows["sex"].tolist() == ["", "f", ""]
    (note,) = sheet.notes
    assert note.example == "2 in all, the first in row 2" and note.remedy


def test_a_sheet_that_was_cut_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.tsv"
    file.write_text(HEADER + "P1\t50\tm\nP2\t6")
    problem = problem_of(file)
    assert problem.row == 3 and "has 2 cells, the header 3" in problem.problem
    assert "cut short" in problem.remedy


def test_short_rows_of_a_gene_matrix_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "o.csv"
    file.write_text("patient_id,A,B,C\nP1,1,2,3\nP2,1,2\nP3,1,2,3\n")
    problem = problem_of(file, matrix=True)
    assert problem.row == 3 and "has 3 cells, the header 4" in problem.problem
    file.write_text("patient_id,A,B,C\nP1,1,2,3\nP2,1,2,\n")
    assert len(read_omics_sheet(file).ids.rows) == 2


def test_a_last_number_that_may_lack_digits_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "o.csv"
    file.write_text("patient_id,A\nP1,1.25\nP2,1.2")
    (note,) = read_omics_sheet(file).ids.notes
    assert "lacks digits" in note.sentence and note.example == "row 3"
    (tmp_path / "t.csv").write_text("patient_id,A\nP1,1.25\nP2,f")
    assert read_sheet(tmp_path / "t.csv", ["patient_id"]).notes == ()


def test_repeated_header(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("patient_id,A\nP1,1\npatient_id,A\nP2,2\n")
    for matrix in (False, True):
        problem = problem_of(tmp_path / "o.csv", matrix)
        assert (problem.row, problem.problem) == (3, "repeats the header")


def test_row_names_that_r_wrote(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("patient_id\tage\n1\tP1\t50\n")
    assert "R leaves out" in problem_of(tmp_path / "t.tsv").remedy


@pytest.mark.parametrize(
    ("above", "fault"),
    [
        ("#Patient Identifier\tAge\tSex\n#PATIENT\tNUMBER\tSTRING\n", "is a comment"),
        ("# gene-model: GENCODE v36\n", "is a comment"),
        ("# exported by REDCap\n\n", "is a comment"),
        ("sep=\t\n", "is Excel's mark of the delimiter"),
        ("Baseline data\t\t\n", "is a title"),
    ],
)
@pytest.mark.parametrize("matrix", [False, True])
def test_lines_above_the_header(tmp_path: Path, above: str, fault: str, matrix: bool) -> None:
    """Downloads of cBioPortal and the GDC start with comments, Excel's CSV with `sep=`.

    Each was a dozen problems about missing columns and the lengths of rows.
    """
    path = tmp_path / "t.tsv"
    path.write_text(above + "patient_id\tTP53\tEGFR\nP1\t60\t1\nP2\t61\t2\n")
    problem = problem_of(path, matrix)
    assert (problem.row, problem.column) == (1, None)
    assert problem.problem == f"{fault}, where the header should be"
    assert "lines above the header" in problem.remedy


def test_a_column_of_row_numbers_is_no_comment(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("#,patient_id\n1,P1\n")
    assert read_sheet(tmp_path / "t.csv", ["patient_id"]).rows["#"].tolist() == ["1"]
