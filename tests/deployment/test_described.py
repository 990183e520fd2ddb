"""What a package says of itself: its card, its label and its schemas; and the page of a patient."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from datetime import date
from html import unescape
from pathlib import Path

import jsonschema
import pytest
from pypdf import PdfReader

from deployment_fixture import finished_study, new_sheets
from survfuse.artifacts.package import Package, open_package
from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core.files import read_object
from survfuse.core.messages import Message
from survfuse.deployment.card import verdict
from survfuse.deployment.freeze import freeze_study
from survfuse.deployment.inputs import NewSheets
from survfuse.deployment.label import ATTRIBUTES, ITEMS, OPEN
from survfuse.deployment.predict import predict_new
from survfuse.modalities.registry import MODALITIES
from survfuse.reporting.language import language_of
from survfuse.reporting.new_patients.documents import document_of
from survfuse.reporting.new_patients.pages import page_of
from survfuse.reporting.new_patients.pdf import printing_on
from survfuse.reporting.wording import of_100

ENGLISH = language_of("en")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("described")
    (folder / "study").mkdir()
    return open_package(freeze_study(finished_study(folder / "study"), folder / "package"))


@pytest.fixture(scope="module")
def predicted(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    patients, genes = new_sheets(folder, 3)
    patients.to_csv(folder / "new.tsv", sep="\t", index=False)
    genes.iloc[1:].to_csv(folder / "genes.csv", index=False)
    sheets = NewSheets(folder / "new.tsv", {"omics": folder / "genes.csv"})
    predict_new(package, sheets, folder / "out", on=date(2026, 1, 2))
    return folder / "out"


@pytest.fixture(scope="module")
def records(predicted: Path) -> list[dict]:
    found = sorted((predicted / "predictions").glob("*.json"))
    return [json.loads(path.read_text()) for path in found]


def test_the_groups_of_attributes_have_the_sizes_of_the_rule() -> None:
    assert [len(titles) for titles in ATTRIBUTES.values()] == [4, 4, 2, 4, 2, 4, 5, 4, 2]
    assert len(ITEMS) == 27


def test_the_label_fills_what_the_study_shows_and_nothing_else(package: Package) -> None:
    label = read_object(package.files.label)
    told = {one["id"]: one for one in label["source_attributes"]}
    found = read_object(package.files.performance)["rows"]["survfuse"]["metrics"]["harrell_c"]
    assert f"{found['found']['value']:.2f}" in told["validity_internal"]["text"]
    assert told["validity_external"]["text"] == "None was done."
    assert told["developer"]["status"] == OPEN
    for name, items in (("source_attributes", 31), ("tripod_ai", 27)):
        assert all(one["text"] == "" for one in label[name] if one["status"] == OPEN)
        assert sum(label["counts"][name].values()) == len(label[name]) == items


def test_the_card_has_the_figures_of_the_study(package: Package) -> None:
    card = package.files.card.read_text()
    for row in read_object(package.files.performance)["rows"].values():
        found = row["metrics"]["harrell_c"]["found"]
        assert f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})" in card
    assert "Research use only" in card and "120 patients" in card


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"low": 0.01, "high": 0.1}, "above zero"),
        ({"low": -0.01, "high": 0.1}, "holds zero"),
        ({"low": -0.1, "high": -0.01}, "below zero"),
        ({"low": None, "high": None}, "No interval"),
        ({"low": 0.01, "high": 0.1, "few": True}, "too few events"),
    ],
)
def test_a_difference_is_said_as_its_interval_allows(found: dict, sentence: str) -> None:
    assert sentence in verdict(found)


def test_records_are_valid_and_changed_ones_are_not(package: Package, records: list[dict]) -> None:
    validator = jsonschema.Draft202012Validator(read_object(package.files.schema("prediction")))
    validator.check_schema(validator.schema)
    for record in records:
        validator.validate(record)
    for change in ({"patient_id": "../x"}, {"schema": "other"}, {"unknown": 1}):
        assert not validator.is_valid(records[0] | change)
    wrong = deepcopy(records[0])
    wrong["estimates"]["horizons"][0]["risk"] = 35
    assert not validator.is_valid(wrong)


def test_the_patient_sheet_is_described(package: Package) -> None:
    validator = jsonschema.Draft202012Validator(read_object(package.files.schema("patients")))
    validator.check_schema(validator.schema)
    assert validator.is_valid({"patient_id": "A", "age": 60, "stage": "II", "ward": "7"})
    assert validator.is_valid({"patient_id": "A"})
    assert not validator.is_valid({"patient_id": "A", "stage": "IV"})
    assert not validator.is_valid({"age": 60})


def test_a_package_holds_what_it_lists_and_nothing_that_is_unpickled(package: Package) -> None:
    root = package.files.root
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert there == {*package.record["files"], "package.json"}
    assert {Path(name).suffix for name in there} == {".json", ".md", ".safetensors"}


def text_of(html: str) -> str:
    """What a reader sees, with single spaces."""
    body = re.sub(r"<(style|svg|title).*?</\1>", " ", html, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def test_a_page_says_what_the_record_says(predicted: Path, records: list[dict]) -> None:
    folder = NewPatientsFolder(predicted)
    index = folder.index.read_text()
    for record in records:
        html = folder.page(record["patient_id"]).read_text()
        assert html == page_of(record, ENGLISH)  # the same twice
        said = text_of(html)
        last = record["estimates"]["horizons"][-1]
        assert f"about {of_100(last['risk'])} have died within 24 months" in said
        for name, one in record["without_modality"].items():
            risk = of_100(one["horizons"][-1]["risk"])
            assert f"Without the {MODALITIES[name].noun} of this patient {risk}" in said
        for state in (one["state"] for one in record["inputs"]):
            assert state in said
        assert ("Incomplete inputs" in said) == any(
            one["state"] == "missing" for one in record["inputs"]
        )
        assert "Research use only" in said and record["package"]["sha256"][:12] in said
        assert not re.findall(r'(?:src|href)="(?!#|data:)', html)
        assert f'href="{record["patient_id"]}.html"' in index
        for place in ("documents", "patient_sheets"):
            assert f'href="../{place}/{record["patient_id"]}.pdf"' in index


def test_the_record_lies_in_the_document_and_nothing_of_the_clock_does(
    predicted: Path, records: list[dict]
) -> None:
    folder = NewPatientsFolder(predicted)
    for record in records:
        patient = record["patient_id"]
        attached = folder.prediction(patient).read_bytes()
        assert PdfReader(folder.document(patient)).attachments == {f"{patient}.json": [attached]}
        assert folder.sheet_page(patient).is_file() and folder.sheet_document(patient).is_file()
    first, patient = records[0], records[0]["patient_id"]
    attached = folder.prediction(patient).read_bytes()
    again = document_of(first, attached, ENGLISH, printing_on("A4"))
    assert again == folder.document(patient).read_bytes()


def test_flags_stand_before_the_estimate(records: list[dict]) -> None:
    record = deepcopy(records[0])
    record["remarks"] = [
        {"message": Message(text).to_json(), "flagged": flagged}
        for text, flagged in (("age is 140 <b>years</b>", True), ("by the way", False))
    ]
    html = page_of(record, ENGLISH)
    assert "&lt;b&gt;years" in html and "<b>years" not in html
    assert html.index("Less to be trusted") < html.index("Age is 140") < html.index("Of 100")
    assert html.index("By the way") > html.index("Of 100")


def test_hostile_words_do_no_harm(records: list[dict]) -> None:
    record = deepcopy(records[0])
    record |= {"patient_id": "<script>alert(1)</script>", "label": "../../x"}
    assert "<script" not in page_of(record, ENGLISH)
