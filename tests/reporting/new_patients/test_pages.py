"""The pages of new patients, from made-up records of both tasks."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path

import pytest

from new_patients_fixture import DIAGNOSIS, ENGLISH, GERMAN, RECORD, at, remark, text_of
from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core.errors import UserInputError
from survfuse.reporting.language import Language
from survfuse.reporting.new_patients.pages import page_of, write_pages
from survfuse.reporting.render import WordingError


def squeezed(text: str) -> str:
    """Without the blanks that tags leave before punctuation."""
    return re.sub(r" (?=[,.;)])|(?<=\() ", "", text)


def written(folder: Path, record: dict, language: Language = ENGLISH) -> tuple[str, str]:
    """The page and the list of one patient."""
    files = NewPatientsFolder(folder)
    write_pages([record], files, language, documents=True)
    return files.page("N1").read_text(), files.index.read_text()


@pytest.mark.parametrize("language", [ENGLISH, GERMAN])
@pytest.mark.parametrize("record", [RECORD, DIAGNOSIS])
def test_every_number_names_its_place_in_the_record(record: dict, language: Language) -> None:
    html = page_of(record, language)
    spans = re.findall(r'<span data-key="([^"]+)">([^<]+)</span>', html)
    assert len(spans) > 10
    for key, shown in spans:
        value = at(record, key)
        number = float(shown.replace("\u2212", "-").replace(",", "."))
        assert number in (round(100 * value), pytest.approx(value, abs=0.005)), key


def test_a_page_of_survival_says_what_is_known() -> None:
    said = squeezed(text_of(page_of(RECORD, ENGLISH)))
    for sentence in (
        "about 41 have died within 36 months (95 % interval 20 to 70)",
        "In the whole study, 55 of 100 have died by then",
        "Clinical Cox, from clinical data alone 33 20 to 70",
        "This estimate 41 20 to 70",
        "Without the clinical data of this patient 27",
        "no usable gene expression, slides and PET.",
        "it would be 31 to 52",
        "Not estimable within 60 months. In the words of the study: too few followed.",
        "Not divided further is what came from PET",
        "survfuse put 71 of 100 pairs of patients in the right order; chance puts 50 (Harrell's C "
        "0.71, 0.61 to 0.81)",
        "Clinical Cox, from clinical data alone, put 66 of 100",
        "does not show that it is better than that. Difference +0.05 (95 % interval \u22120.02 to "
        "+0.12)",
        "study of 123 patients",
        "mine (A title)",
        "present Clinical data",
        "missing Gene expression",
        "not usable Slides no tissue was found on it",
        "synthetic PET made by the program from: MRI",
    ):
        assert sentence in said, sentence


@pytest.mark.parametrize(
    ("low", "high", "few", "said"),
    [
        (0.01, 0.12, False, "In the study it was better"),
        (-0.12, -0.01, False, "In the study it was worse"),
        (-0.02, 0.12, False, "does not show that it is better"),
        (0.01, 0.12, True, "too small to tell"),
        (None, None, False, "too small to tell"),
    ],
)
def test_the_comparison_is_said_as_its_interval_allows(
    low: float | None, high: float | None, few: bool, said: str
) -> None:
    record = deepcopy(RECORD)
    record["performance"]["comparisons"][0] |= {"low": low, "high": high, "few": few}
    shown = text_of(page_of(record, ENGLISH))
    every = ("it was better", "it was worse", "does not show", "too small")
    assert said in shown and sum(one in shown for one in every) == 1


def test_a_page_of_a_diagnosis_has_the_reference_and_what_is_missing_too() -> None:
    said = squeezed(text_of(page_of(DIAGNOSIS, ENGLISH)))
    assert "about 62 are expected to be converted" in said
    assert "51 to 75, which is how far they disagree and no interval" in said
    assert "Clinical Cox, from clinical data alone 44" in said
    assert "Without the clinical data of this patient 29" in said
    assert "What moved the estimate" not in said


def test_a_page_in_german_is_german() -> None:
    html = page_of(RECORD, GERMAN)
    said = squeezed(text_of(html))
    assert '<html lang="de">' in html
    for sentence in (
        "sind innerhalb von 36 Monaten etwa 41 verstorben (95-%-Intervall 20 bis 70)",
        "(Harrell's C 0,71; 0,61 bis 0,81)",
        "2. Januar 2026",
        "Ohne klinische Daten",
    ):
        assert sentence in said, sentence


def test_words_of_a_study_stay_as_they_are_in_another_language() -> None:
    record = deepcopy(RECORD)
    record["predicted"]["happened"] = "have had a stroke"
    assert "vom Ereignis betroffen („have had a stroke“)" in text_of(page_of(record, GERMAN))
    assert "have had a stroke within" in text_of(page_of(record, ENGLISH))


def test_a_remark_is_said_in_the_language_of_the_page() -> None:
    said = remark(
        "%(what)s is %(value)s; of 100 patients of the study 98 had %(low)s to %(high)s, so that "
        "the models are extrapolating.",
        what="age",
        value=104.5,
        low=40.25,
        high=86.0,
    )
    record = RECORD | {"remarks": [said]}
    assert "Age is 104.5; of 100" in text_of(page_of(record, ENGLISH))
    assert "104,5" in text_of(page_of(record, GERMAN))
    assert "extrapolating" not in page_of(record, GERMAN)


def test_a_bound_is_said_of_all_patients() -> None:
    record = deepcopy(RECORD)
    bound = {"share": 0.9, "n": 100, "until": 60.0, "months": 7.3}
    record["estimates"]["event_free_bound"] = bound
    said = text_of(page_of(record, ENGLISH))
    assert "Of 100 patients, about 90 stay free" in said and "lies at 7.3 months" in said
    bound["months"] = None
    assert "it lies beyond 60 months" in text_of(page_of(record, ENGLISH))


def test_an_extreme_estimate_is_not_about_more_than_99() -> None:
    record = deepcopy(RECORD)
    record["estimates"]["horizons"][0] |= {"risk": 0.9999, "high": 1.0}
    said = text_of(page_of(record, ENGLISH))
    assert "like this one, more than 99 have died" in said and "about more" not in said


@pytest.mark.parametrize(
    ("named", "banner"), [("simulated", "Simulated study"), ("untrained", "Untrained")]
)
def test_banners_stand_on_page_and_index(tmp_path: Path, named: str, banner: str) -> None:
    record = RECORD | {"package": RECORD["package"] | {named: True}}
    for html in written(tmp_path, record):
        assert banner in html and "Research use only" in html
    assert banner not in page_of(RECORD, ENGLISH)


def test_nothing_is_written_where_a_page_says_what_none_may(tmp_path: Path) -> None:
    record = json.loads(json.dumps(RECORD))
    record["performance"]["ranking"]["label"] = "an accurate C"
    with pytest.raises(WordingError, match="claims accuracy"):
        written(tmp_path, record)
    assert not any(tmp_path.iterdir())


HOSTILE = '<script>alert(1)</script>"}</style>\\'


def test_hostile_words_do_no_harm(tmp_path: Path) -> None:
    record = deepcopy(DIAGNOSIS)
    record |= {"label": HOSTILE}
    record["inputs"][2] |= {"reason": HOSTILE}
    record["estimates"]["classes"][1] |= {"name": HOSTILE}
    record["remarks"] = [remark("%(what)s", what=HOSTILE)]
    for html in written(tmp_path, record):
        assert "<script" not in html
    record |= {"patient_id": HOSTILE}
    html = page_of(record, ENGLISH)
    (margin,) = (
        css for css in re.findall(r"<style>(.*?)</style>", html, re.S) if "top-left" in css
    )
    assert "<script" not in html and margin.count('"') == 4 and "\\" not in margin


@pytest.mark.parametrize(
    "patient", ["../../x", "a/b", "", HOSTILE, "x" * 65, ".", "index", "Index"]
)
def test_ids_that_lead_elsewhere_have_no_file(tmp_path: Path, patient: str) -> None:
    with pytest.raises(UserInputError):
        NewPatientsFolder(tmp_path).page(patient)
    for kind in ("prediction", "document", "sheet_page", "sheet_document"):
        if patient.lower() != "index":
            with pytest.raises(UserInputError, match="identifier"):
                getattr(NewPatientsFolder(tmp_path), kind)(patient)
