"""The sheet for a patient."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest

from new_patients_fixture import DIAGNOSIS, ENGLISH, GERMAN, NOTHING, RECORD, remark, text_of
from survfuse.core.event_words import MEANINGS, PLAIN, UNKNOWN
from survfuse.reporting.language import Language
from survfuse.reporting.new_patients.sheet import sheet_of
from survfuse.reporting.wording import lint

JARGON = re.compile(
    r"interval|hazard|cohort|fold|calibrat|log-|slides|gene expression|omics|%|Intervall|Hazard|"
    r"Kohorte|Genexpression|Gewebeschnitt|Konfidenz",
    re.I,
)


def said_by(record: dict, language: Language = ENGLISH) -> str:
    return text_of(sheet_of(record, language))


@pytest.mark.parametrize("language", [ENGLISH, GERMAN])
@pytest.mark.parametrize("record", [RECORD, DIAGNOSIS])
def test_a_sheet_is_plain(record: dict, language: Language) -> None:
    html = sheet_of(record, language)
    assert not JARGON.findall(text_of(re.sub(r"<footer>.*?</footer>", "", html, flags=re.S)))
    assert not lint(html, (), language.code)


def test_a_sheet_of_survival_says_the_number_in_people_and_years() -> None:
    said = said_by(RECORD)
    for sentence in (
        "Of 100 people with an estimate like yours, about 41 have died within 3 years",
        "For about 59 of the 100 this is not so",
        "a study of 123 people",
        "could also be 20 to 70 of 100",
        "Of all people in the study, 55 of 100 have died in the same time",
        "could not be used: the test of how active genes are, the tissue samples under the "
        "microscope and the PET scan",
        "Many hospitals have people who help",
    ):
        assert sentence in re.sub(r" (?=[,.)])", "", said), sentence


def test_a_sheet_of_a_memory_clinic_speaks_of_memory() -> None:
    said = said_by(DIAGNOSIS)
    assert "about 62 belong to the group converted" in said and "memory clinic" in said
    assert "Gedächtnissprechstunde" in said_by(DIAGNOSIS, GERMAN)
    record = DIAGNOSIS | {"predicted": DIAGNOSIS["predicted"] | {"happened": "are mutated"}}
    assert "memory" not in said_by(record)


@pytest.mark.parametrize("record", [RECORD, DIAGNOSIS])
def test_the_number_is_hidden_until_it_is_asked_for(record: dict) -> None:
    html = sheet_of(record, ENGLISH)
    shown, _, number = html.partition('<details class="number">')
    assert "open" not in re.findall(r"<details[^>]*>", html)[0]
    for risk in ("41", "62"):
        assert risk not in text_of(shown)
    assert "Not wanting to know is a good answer too" in text_of(shown)
    assert "data-key" in number and "data-key" not in shown


@pytest.mark.parametrize(("risk", "filled"), [(0.414, 41), (0.0, 0), (0.003, 0), (1.0, 100)])
def test_as_many_figures_are_filled_as_the_sentence_says(risk: float, filled: int) -> None:
    record = deepcopy(RECORD)
    record["estimates"]["horizons"][0] |= {"risk": risk}
    html = sheet_of(record, ENGLISH)
    figures = re.findall(r'<use href="#person"[^>]*fill="(#\w+)"', html)
    assert len(figures) == 100 and figures.count("#0b4f7d") == filled
    label = f'role="img"><title>100 figures of people: {filled} are filled, {100 - filled} are'
    assert label in html


def test_without_an_estimate_the_sheet_says_so() -> None:
    said = said_by(RECORD | {"estimates": NOTHING, "reference": None})
    assert "No estimate could be made for you" in said and "figures" not in said


def test_what_is_unusual_is_said_without_its_jargon() -> None:
    record = RECORD | {"remarks": [remark("p = 0.001"), remark("by the way", flagged=False)]}
    assert "unlike the people of the study" in said_by(record) and "0.001" not in said_by(record)
    assert "unlike the people" not in said_by(RECORD | {"remarks": record["remarks"][1:]})


def test_an_example_is_called_one() -> None:
    record = RECORD | {"package": RECORD["package"] | {"simulated": True}}
    assert "made up by a computer" in said_by(record)
    assert "made up by a computer" not in said_by(RECORD)


def test_every_event_that_is_inferred_has_plain_words() -> None:
    inferred = {words for *_, words in MEANINGS} | {UNKNOWN}
    assert inferred - {"have died"} == set(PLAIN)
    for words in inferred:
        record = RECORD | {"predicted": RECORD["predicted"] | {"happened": words}}
        assert "„" not in said_by(record, GERMAN)
        assert PLAIN.get(words, words) in said_by(record)
