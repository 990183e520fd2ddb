"""The documents of new patients, read back with another library than the one that wrote them."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from new_patients_fixture import DIAGNOSIS, ENGLISH, GERMAN, RECORD, remark
from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core.files import write_bytes, write_json
from survfuse.reporting.language import Language
from survfuse.reporting.new_patients import pdf
from survfuse.reporting.new_patients.documents import document_of, sheet_document_of
from survfuse.reporting.new_patients.stage import write_reports
from survfuse.reporting.new_patients.style import PAPERS, Style

ATTACHED = json.dumps(RECORD).encode()
LONG = "words " * 25
# More than any first page holds.
CROWDED: dict[str, Any] = deepcopy(RECORD) | {
    "patient_id": "x" * 64,
    "remarks": [remark(f"%(number)s {LONG}", number=number) for number in range(12)],
    "contributions": {
        "modalities": [
            {"modality": name, "log_hazard": 0.1} for name in ("clinical", "omics", "slides")
        ],
        "parts": [
            {"modality": "omics", "part": f"SET_{number}_{'X' * 40}", "log_hazard": 0.1}
            for number in range(10)
        ],
    },
}
CROWDED["package"] |= {"simulated": True, "untrained": True, "title": LONG * 3}
CROWDED["predicted"] |= {"definition": LONG * 4}


def reader_of(content: bytes, folder: Path) -> PdfReader:
    (folder / "document.pdf").write_bytes(content)
    return PdfReader(folder / "document.pdf")


def text_on(page: Any) -> str:
    return re.sub(r"\s+", " ", page.extract_text())


@pytest.fixture(scope="module")
def printing() -> dict[str, pdf.Printing]:
    return {paper: pdf.printing_on(paper) for paper in PAPERS}


@pytest.fixture(scope="module")
def content(printing: dict[str, pdf.Printing]) -> bytes:
    return document_of(RECORD, ATTACHED, ENGLISH, printing["A4"])


def test_a_document_is_the_same_twice_and_another_for_another_record(content: bytes) -> None:
    printed = pdf.printing_on("A4")
    assert document_of(deepcopy(RECORD), ATTACHED, ENGLISH, printed) == content
    other = document_of(RECORD | {"predicted_on": "2026-01-03"}, ATTACHED, ENGLISH, printed)
    assert other != content


def test_a_document_is_pdf_a_3b_with_its_record(content: bytes, tmp_path: Path) -> None:
    reader = reader_of(content, tmp_path)
    metadata = reader.xmp_metadata
    assert metadata is not None
    raw = metadata.stream.get_data().decode()
    assert re.search(r'part="?>?3', raw) and re.search(r'conformance="?>?B', raw)
    assert reader.attachments == {"N1.json": [ATTACHED]}
    files = [file.get_object() for file in reader.trailer["/Root"]["/AF"]]
    assert {(file["/UF"], file["/AFRelationship"]) for file in files} == {("N1.json", "/Data")}
    assert reader.trailer["/Root"]["/Lang"] == "en"
    assert reader.metadata is not None
    assert reader.metadata.title == "Patient N1: survival"
    assert reader.metadata.creation_date and reader.metadata.creation_date.date() == date(
        2026, 1, 2
    )
    # Tagged, so that what is drawn is told to those who cannot see it.
    assert any("41 of 100 figures are filled" in said for said in told(reader))


def told(reader: PdfReader) -> list[str]:
    """What stands in for figures: the alternative texts of the tree of tags."""
    found, todo = [], [reader.trailer["/Root"]["/StructTreeRoot"].get_object()]
    while todo:
        one = todo.pop()
        if "/Alt" in one:
            found.append(str(one["/Alt"]))
        kids = one.get("/K", [])
        for kid in kids if isinstance(kids, list) else [kids]:
            kid = kid.get_object()
            if isinstance(kid, dict) and "/K" in kid:
                todo.append(kid)
    return found


def test_fonts_are_embedded(content: bytes, tmp_path: Path) -> None:
    fonts = [
        font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
        for page in reader_of(content, tmp_path).pages
        for font in page["/Resources"]["/Font"].values()
    ]
    assert fonts
    for font in fonts:
        assert "DejaVu" in font["/FontName"] and {"/FontFile2", "/FontFile3"} & set(font)


@pytest.mark.parametrize(
    ("record", "paper", "language"),
    [
        (RECORD, "A4", ENGLISH),
        (RECORD, "Letter", GERMAN),
        (DIAGNOSIS, "A4", GERMAN),
        (DIAGNOSIS, "Letter", ENGLISH),
        (CROWDED, "Letter", GERMAN),
    ],
)
def test_the_first_page_is_complete_in_itself(
    record: dict,
    paper: str,
    language: Language,
    printing: dict[str, pdf.Printing],
    tmp_path: Path,
) -> None:
    pages = reader_of(document_of(record, ATTACHED, language, printing[paper]), tmp_path).pages
    height_mm = {"A4": 297, "Letter": 279.4}[paper]
    first = text_on(pages[0])
    assert language.gettext("Not to be used") in first
    assert language.gettext("What the model is worth") in first
    assert language.gettext("How it was made") not in first
    for number, page in enumerate(pages, 1):
        assert float(page.mediabox.height) == pytest.approx(height_mm / 25.4 * 72, abs=0.5)
        text = text_on(page)
        assert record["patient_id"] in text.replace(" ", "")
        assert record["package"]["sha256"][:12] in text and "survfuse 0.2.0" in text
        shown = {"page": number, "pages": len(pages)}
        assert language.gettext("Page %(page)s of %(pages)s") % shown in text
        assert language.gettext("Research use only. Not validated for clinical decisions.") in text


def test_what_the_first_page_has_no_room_for_stands_on_the_next(
    printing: dict[str, pdf.Printing], tmp_path: Path
) -> None:
    pages = reader_of(document_of(CROWDED, ATTACHED, ENGLISH, printing["Letter"]), tmp_path).pages
    first, rest = text_on(pages[0]), " ".join(text_on(page) for page in pages[1:])
    left = re.search(r"(\d+) more reasons, see the next pages", first)
    assert left and 0 < int(left[1]) < 12
    assert all(f"{number} words" in rest for number in range(12))
    assert "SET 9" in rest and "SET 9" not in first


def test_a_sheet_keeps_the_number_on_its_second_page(
    printing: dict[str, pdf.Printing], tmp_path: Path
) -> None:
    pages = reader_of(sheet_document_of(RECORD, ENGLISH, printing["A4"]), tmp_path).pages
    assert len(pages) == 2
    first, second = map(text_on, pages)
    assert "You decide whether you want to know" in first and "41" not in first
    assert "about 41 have died within 3 years" in second
    assert all("N1" in text for text in (first, second))


def test_nothing_is_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    for address in (secret.as_uri(), "http://127.0.0.1:9/x.png", "ftp://127.0.0.1/x"):
        with pytest.raises(ValueError, match="disallowed"):
            pdf.fetcher().fetch(address)


def test_hostile_words_do_no_harm(printing: dict[str, pdf.Printing], tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script><img src=file:///etc/passwd>"
    record = RECORD | {"label": hostile, "patient_id": hostile}
    reader = reader_of(document_of(record, ATTACHED, ENGLISH, printing["A4"]), tmp_path)
    assert "<script>alert(1)" in text_on(reader.pages[0])
    assert "/JavaScript" not in str(reader.trailer["/Root"])


def write_all(folder: Path, style: Style) -> NewPatientsFolder:
    files = NewPatientsFolder(folder)
    write_json(files.prediction("N1"), RECORD)
    write_reports([RECORD], files, style)
    return files


def test_documents_can_be_left_out(tmp_path: Path) -> None:
    for left in NewPatientsFolder(tmp_path).documents_of("N1"):  # by a run before
        write_bytes(left, b"another estimate")
    files = write_all(tmp_path, Style(documents=False))
    assert files.page("N1").is_file() and "documents" not in files.index.read_text()
    assert not files.document("N1").exists() and not files.sheet_page("N1").exists()


@pytest.mark.parametrize("error", [ImportError("no module"), OSError("cannot load\nlibpango")])
def test_without_pango_there_is_html_and_one_line_of_warning(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    class Refusing:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "weasyprint":
                raise error

    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    with caplog.at_level(logging.WARNING):
        files = write_all(tmp_path, Style())
    (record,) = caplog.records
    said = record.getMessage()
    assert "\n" not in said and "Pango" in said and "apt install" in said
    assert files.page("N1").is_file() and files.sheet_page("N1").is_file()
    assert not files.document("N1").exists() and "documents/" not in files.index.read_text()


def test_advice_of_the_library_is_not_printed_besides() -> None:
    """In a process of its own, in which no library of the system can be loaded."""
    script = (
        "import cffi\n"
        "def none(*_): raise OSError('cannot load library libpango')\n"
        "cffi.FFI.dlopen = none\n"
        "from survfuse.reporting.new_patients import pdf\n"
        "raise SystemExit(pdf.can_write())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout
    assert len(done.stderr.splitlines()) == 1
