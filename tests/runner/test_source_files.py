"""What is known of brought files before a job starts: rows of sheets, times and sizes."""

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from survfuse.runner.source_files import (
    LONGEST_LINE_BYTES,
    batch_digest,
    content_digest,
    image_items,
    lines,
    rows_of,
    slide_items,
)


def test_rows_are_counted_as_the_check_reads_them(tmp_path: Path) -> None:
    sheet = tmp_path / "slides.csv"
    sheet.write_bytes(b'\xef\xbb\xbfslide_id, path\r\nS1,"a\nb.svs"\r\n\r\n , \r\nS2,c.svs')
    assert rows_of(sheet) == [
        {"slide_id": "S1", "path": "a\nb.svs"},
        {"slide_id": "S2", "path": "c.svs"},
    ]


def test_gzip_bombs_long_lines_and_pipes_end_at_once(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.tsv.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as packed:
        packed.write(b"slide_id\n" + b"x" * (LONGEST_LINE_BYTES * 3))
    plain = tmp_path / "long.tsv"
    with plain.open("wb") as sparse:
        sparse.truncate(3 << 30)
    pipe = tmp_path / "pipe.tsv"
    os.mkfifo(pipe)
    cut = tmp_path / "cut.tsv.gz"
    cut.write_bytes(gzip.compress(b"slide_id\nS1\n")[:-6])
    for path in (bomb, plain, pipe, cut, tmp_path, tmp_path / "none.tsv"):
        assert rows_of(path) == []


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b""))))
def test_lines_are_those_of_the_file_however_it_is_read(pieces: list[bytes]) -> None:
    import tempfile
    from unittest.mock import patch

    content = b"\n".join(pieces)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("survfuse.runner.source_files.CHUNK_BYTES", 7),
    ):
        path = Path(folder, "a.tsv")
        path.write_bytes(content)
        assert b"".join(lines(path)) == content
        assert [line.rstrip(b"\n") for line in lines(path)] == (content + b"\n").split(b"\n")[
            : content.count(b"\n") + (not content.endswith(b"\n") and bool(content))
        ]


def test_items_are_dealt_in_the_order_of_the_stages(tmp_path: Path) -> None:
    from survfuse.artifacts.cohort_tables import read_slides
    from survfuse.modalities.slides.batch import batch_rows

    sheet = tmp_path / "slides.tsv"
    names = ["b", "B", "a10", "a2", "_a"]
    rows = [f"{name}\tP\t{tmp_path / name}\t\t" for name in sorted(names)]
    sheet.write_text("slide_id\tpatient_id\tpath\tmpp\tfeatures\n" + "\n".join(rows) + "\n")
    shuffled = tmp_path / "shuffled.tsv"
    shuffled.write_text("slide_id\tpath\n" + "".join(f"{n}\t{n}\n" for n in names))
    items = slide_items(shuffled)
    for batch in (0, 1):
        expected = [row.slide_id for row in batch_rows(read_slides(sheet), batch, 2)]
        assert [item.key for item in items[batch::2]] == expected
    assert [item.files for item in items] == [(tmp_path / n,) for n in sorted(names)]


@pytest.mark.parametrize("column", ["path", "mask", "reference", "registration"])
def test_another_file_changes_the_digest_of_its_batch_alone(tmp_path: Path, column: str) -> None:
    columns = ["path", "mask", "reference", "registration"]
    lines = ["\t".join(["patient_id", "visit", "modality", *columns])]
    for patient in ("P1", "P2"):
        for name in columns:
            (tmp_path / f"{patient}_{name}").write_text("x")
        lines.append("\t".join([patient, "bl", "t1", *(f"{patient}_{name}" for name in columns)]))
    (tmp_path / "images.tsv").write_text("\n".join(lines))
    items = image_items(tmp_path / "images.tsv")
    before = [batch_digest(items, batch, 2) for batch in (0, 1)]
    changed = tmp_path / f"P2_{column}"
    old = changed.stat()
    changed.write_text("y")
    os.utime(changed, ns=(old.st_atime_ns, old.st_mtime_ns - 1))  # of the same size, but older
    after = [batch_digest(items, batch, 2) for batch in (0, 1)]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_the_pixels_of_a_mirax_slide_belong_to_it(tmp_path: Path) -> None:
    from survfuse.modalities.slides.batch import SlideRow, slide_hash

    (tmp_path / "S.mrxs").write_text("index")
    (tmp_path / "S").mkdir()
    (tmp_path / "S" / "Data0001.dat").write_text("pixels")
    (tmp_path / "slides.tsv").write_text("slide_id\tpath\nS\tS.mrxs\n")
    row = SlideRow("S", "P", tmp_path / "S.mrxs", None, None)
    items = slide_items(tmp_path / "slides.tsv")
    before = batch_digest(items, 0, 1), slide_hash(row, [tmp_path])
    (tmp_path / "S" / "Data0001.dat").write_text("others")
    os.utime(tmp_path / "S" / "Data0001.dat", ns=(1, 1))
    after = batch_digest(items, 0, 1), slide_hash(row, [tmp_path])
    assert before[0] != after[0] and before[1] != after[1]


def test_a_small_file_is_known_by_content_a_large_one_by_its_time(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_text("same")
    large.write_bytes(bytes((1 << 20) + 1))
    before = content_digest([small]), content_digest([large])
    for path in (small, large):
        os.utime(path, ns=(5, 5))
    assert content_digest([small]) == before[0]
    assert content_digest([large]) != before[1]
    assert content_digest([tmp_path / "none"]) != content_digest([])


def test_the_order_of_rows_of_an_image_sheet_makes_no_difference(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        (tmp_path / name).write_text(name * len(name))
    rows = ["P1\tbl\tt1\ta.nii.gz", "P1\tbl\tfdg\tb.nii.gz"]
    digests = set()
    for order in (rows, rows[::-1]):
        sheet = tmp_path / "images.tsv"
        sheet.write_text("\n".join(["patient_id\tvisit\tmodality\tpath", *order]) + "\n")
        digests.add(batch_digest(image_items(sheet), 0, 1))
    assert len(digests) == 1
