"""Sheets are read as a spreadsheet shows them."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from survfuse.sheets.problems import SheetError
from survfuse.sheets.text_table import (
    as_number,
    check_identifiers,
    fault_of_identifier,
    read_sheet,
)

cell = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\n\ufeff\0"), max_size=8
)


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=6), comma=st.booleans())
def test_round_trip(tmp_path: Path, rows: list[tuple[str, str, str]], comma: bool) -> None:
    """What a csv writer wrote comes back, stripped, at the row a spreadsheet would show."""
    file = tmp_path / ("t.csv" if comma else "t.tsv")
    with file.open("w", newline="", encoding="utf-8-sig") as handle:
        writer = csv.writer(handle, delimiter="," if comma else "\t")
        writer.writerows([("a", "b", "c"), *rows])
    expected = {
        number: [text.strip() for text in row]
        for number, row in enumerate(rows, start=2)
        if any(text.strip() for text in row)
    }
    if not expected:
        with pytest.raises(SheetError, match="no rows"):
            read_sheet(file, ["a"])
        return
    sheet = read_sheet(file, ["a", "c"])
    assert dict(zip(sheet.rows.index, sheet.rows.to_numpy().tolist(), strict=True)) == expected


def test_quoted_newline_is_one_row(tmp_path: Path) -> None:
    file = tmp_path / "t.tsv"
    file.write_text('id\tnote\nP1\t"two\nlines"\n\nP2\n')
    rows = read_sheet(file, ["id"]).rows
    assert rows.to_dict("index") == {
        2: {"id": "P1", "note": "two\nlines"},
        4: {"id": "P2", "note": ""},
    }


def test_old_mac_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "t.tsv"
    file.write_bytes(b"id\tx\rP1\t1\rP2\t2\r")
    assert read_sheet(file, ["id", "x"]).rows["x"].tolist() == ["1", "2"]


def test_columns_without_name_are_dropped(tmp_path: Path) -> None:
    file = tmp_path / "t.tsv"
    file.write_text("\tid\t\t\n0\tP1\t\t\n")
    assert list(read_sheet(file, ["id"]).rows) == ["id"]


def test_wrong_delimiter_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("id;time\nP1;3\n")
    with pytest.raises(SheetError) as caught:
        read_sheet(file, ["id", "time"])
    (problem,) = caught.value.problems
    assert "semicolons" in problem.problem and "commas" in problem.remedy


def test_what_excel_writes(tmp_path: Path) -> None:
    """Byte-order mark, CRLF, quotes, blank lines, padding, trailing empty columns."""
    file = tmp_path / "t.tsv"
    text = 'id\tx\t\t\r\n\r\n" P1 "\t 1\u00a0\t\t\r\n\r\nP2\t"2"\r\n\r\n'
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    rows = read_sheet(file, ["id", "x"]).rows
    assert rows.to_dict("index") == {3: {"id": "P1", "x": "1"}, 5: {"id": "P2", "x": "2"}}


@pytest.mark.parametrize("suffix", [".tsv", ".txt", ".csv", ".tsv.gz", ".csv.gz", ".CSV.GZ"])
def test_suffixes(tmp_path: Path, suffix: str) -> None:
    text = b"id,x\nP1,1\n" if "csv" in suffix.lower() else b"id\tx\nP1\t1\n"
    file = tmp_path / f"t{suffix}"
    file.write_bytes(gzip.compress(text) if suffix.lower().endswith("gz") else text)
    assert read_sheet(file, ["id", "x"]).rows.to_numpy().tolist() == [["P1", "1"]]


@pytest.mark.parametrize(
    ("file", "content", "row", "fault"),
    [
        ("x.tsv", "id\tsite\nP1\tM\xfcller".encode("latin-1"), 2, "cell 2 is not UTF-8"),
        ("x.tsv", "id\tsite\nP1\t2".encode("utf-16"), None, "is UTF-16"),
        ("x.tsv", b'id\tsite\nP1\t2\nP2\t"open', 3, "is not a table"),
        ("x.tsv", b"id\n" + b"x" * 200_000, 2, "is not a table: field larger"),
        ("x.tsv.gz", b"not gzip", None, "Not a gzipped file"),
        ("x.tsv.gz", gzip.compress(b"id\tx\n" * 999, mtime=0)[:-20], None, "cut short"),
        ("x.tsv.gz", gzip.compress(b"id\tx\n", mtime=0)[:-9] + b"\0" * 9, None, "is damaged"),
        ("x.xlsx", b"PK", None, "is a workbook"),
        ("x.rds", b"PK", None, "has a suffix that is not a table's"),
        ("x.tsv", None, None, "no such file"),
        (".", None, None, "has a suffix"),
        ("x.tsv/y.tsv", None, None, "no such file"),
    ],
)
def test_unreadable(
    tmp_path: Path, file: str, content: bytes | None, row: int | None, fault: str
) -> None:
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(SheetError) as caught:
        read_sheet(tmp_path / file, ["id"])
    (problem,) = caught.value.problems
    assert problem.file == str(tmp_path / file)
    assert fault in problem.problem and problem.row == row and problem.remedy


def test_directory_is_no_sheet(tmp_path: Path) -> None:
    (tmp_path / "d.tsv").mkdir()
    with pytest.raises(SheetError, match="is a folder, not a file"):
        read_sheet(tmp_path / "d.tsv", ["id"])


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("-2.50", -2.5), (".5", 0.5), ("3.", 3.0), ("+1e3", 1e3), ("1e999", math.inf)]
    + [(text, None) for text in ("", "nan", "inf", "1_000", "1,5", "0x1", "٣", "1 2", "1e", ".")],
)  # fmt: skip
def test_as_number(text: str, value: float | None) -> None:
    assert as_number(text) == value


@pytest.mark.parametrize("text", ["P1", "a" * 64, "0", "A-b_9"])
def test_good_identifiers(text: str) -> None:
    assert fault_of_identifier(text) is None


@given(st.text())
def test_identifier_fault_agrees_with_the_rule(text: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    good = 0 < len(text) <= 64 and set(text) <= allowed and text[0] not in "_-"
    assert (fault_of_identifier(text) is None) == good


def test_malformed_identifier_is_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "t.tsv"
    file.write_text("id\nMüller, Hans\n")
    (problem,) = check_identifiers(read_sheet(file, ["id"]), "id")
    assert problem.value is None and problem.problem == "has 'ü' as character 2"
