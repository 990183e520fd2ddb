"""The pages of new patients, from made-up records of both tasks."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from survfuse.reporting.new_patients import page_of, write_pages
from survfuse.reporting.render import WordingError

HORIZON = {
    "months": 36.0,
    "risk": 0.41,
    "low": 0.2,
    "high": 0.7,
    "as_is_low": 0.31,
    "as_is_high": 0.52,
    "beyond_study": False,
    "observed": 0.55,
    "events": 40,
}
CLASSES = [
    {
        "name": name,
        "probability": share,
        "lowest_of_models": share - 0.11,
        "highest_of_models": share + 0.13,
        "share_in_study": 0.5,
    }
    for name, share in (("stable", 0.38), ("converted", 0.62))
]
NOTHING: dict[str, Any] = {
    "horizons": [],
    "classes": [],
    "event_free_bound": None,
    "not_estimable": {},
}
FOUND = {"value": 0.71, "low": 0.61, "high": 0.81}
RECORD: dict[str, Any] = {
    "patient_id": "N1",
    "predicted_on": "2026-01-02",
    "package": {
        "name": "mine",
        "title": "A title",
        "sha256": "a" * 64,
        "survfuse": "0.2.0",
        "predicts": "the 5 models of the study",
        "simulated": False,
        "untrained": False,
    },
    "predicted": {"name": "survival", "definition": "time to death", "happened": "have died"},
    "confidence": 0.95,
    "row": "survfuse",
    "label": "survfuse",
    "estimates": NOTHING | {"horizons": [HORIZON], "not_estimable": {"60": "too few followed"}},
    "reference": {
        "row": "cox",
        "label": "Clinical Cox",
        "estimates": NOTHING | {"horizons": [HORIZON | {"risk": 0.33}]},
    },
    "inputs": [
        {"modality": "clinical", "name": "clinical data", "state": "present", "reason": None},
        {"modality": "omics", "name": "gene expression", "state": "missing", "reason": None},
        {"modality": "slides", "name": "slides", "state": "unusable", "reason": "cut short"},
        {"modality": "pet", "name": "PET", "state": "synthetic", "reason": None},
    ],
    "without_modality": {"clinical": NOTHING | {"horizons": [HORIZON | {"risk": 0.27}]}},
    "remarks": [],
    "contributions": {
        "modalities": [{"modality": "clinical", "log_hazard": -0.52}],
        "parts": [{"modality": "clinical", "part": "age_years", "log_hazard": 0.26}],
    },
    "performance": {
        "n_patients": 123,
        "ranking": {"name": "c", "label": "Harrell's C"},
        "rows": {
            "cox": {"label": "Clinical Cox", "metrics": {"c": {"found": FOUND | {"value": 0.66}}}},
            "survfuse": {"label": "survfuse", "metrics": {"c": {"found": FOUND}}},
        },
        "comparisons": [{"difference": 0.05, "low": -0.02, "high": 0.12}],
    },
}
DIAGNOSIS = RECORD | {
    "estimates": NOTHING | {"classes": CLASSES},
    "reference": RECORD["reference"]
    | {"estimates": NOTHING | {"classes": [CLASSES[0], CLASSES[1] | {"probability": 0.44}]}},
    "without_modality": {
        "clinical": NOTHING | {"classes": [CLASSES[0], CLASSES[1] | {"probability": 0.29}]}
    },
    "contributions": None,
}


def text_of(html: str) -> str:
    """What a reader sees, with single spaces."""
    body = re.sub(r"<(style|svg|title).*?</\1>", " ", html, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def at(record: dict, key: str) -> Any:
    """The value at a path of the record."""
    value: Any = record
    for part in key.split("/"):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


@pytest.mark.parametrize("record", [RECORD, DIAGNOSIS])
def test_every_number_names_its_place_in_the_record(record: dict) -> None:
    spans = re.findall(r'<span data-key="([^"]+)">([^<]+)</span>', page_of(record))
    assert len(spans) > 10
    for key, shown in spans:
        value = at(record, key)
        number = float(shown.replace("\u2212", "-"))
        assert number in (round(100 * value), pytest.approx(value, abs=0.005)), key


def test_a_page_of_survival_says_what_is_known() -> None:
    said = text_of(page_of(RECORD))
    for sentence in (
        "about 41 have died by 36 months (95 % interval 20 to 70 )",
        "In the whole study, 55 of 100 patients have died by then",
        "From the row Clinical Cox , with which the study compared its models: 33 of 100",
        "Without the clinical data of this patient the estimate would be 27 of 100",
        "no usable gene expression, slides and PET of their own",
        "it would be 31 to 52",
        "Not estimable by 60 months: too few followed",
        "What PET did is not divided further",
        "Harrell's C 0.71 (0.61 to 0.81)",
        "Difference to the reference: +0.05 ( \u22120.02 to +0.12 )",
        "of 123 patients",
        "mine (A title)",
    ):
        squeezed = re.sub(r" (?=[,.)])|(?<=\() ", "", sentence)
        assert squeezed in re.sub(r" (?=[,.)])|(?<=\() ", "", said), sentence
    for state in ("present", "missing", "not usable cut short", "synthetic"):
        assert state in re.sub(r" (?:Slides|Gene expression|PET|Clinical data)", "", said)


def test_a_page_of_a_diagnosis_has_the_reference_and_what_is_missing_too() -> None:
    said = text_of(page_of(DIAGNOSIS))
    assert "about 62 are expected to be converted" in said
    assert "51 to 75 , which is how far they disagree and no interval" in said
    assert "with which the study compared its models: 44 of 100" in said
    assert "Without the clinical data of this patient the estimate would be 29 of 100" in said
    assert "What moved the estimate" not in said


def test_a_bound_is_said_of_all_patients() -> None:
    record = deepcopy(RECORD)
    bound = {"share": 0.9, "n": 100, "until": 60.0, "months": 7.3}
    record["estimates"]["event_free_bound"] = bound
    assert "about 90 of 100 patients outlive without the event is 7.3 months" in text_of(
        page_of(record)
    )
    bound["months"] = None
    assert "is longer than 60 months" in text_of(page_of(record))


def test_an_extreme_estimate_is_not_about_more_than_99() -> None:
    record = deepcopy(RECORD)
    record["estimates"]["horizons"][0] |= {"risk": 0.9999, "high": 1.0}
    said = text_of(page_of(record))
    assert "like this one, more than 99 have died" in said and "about more" not in said


@pytest.mark.parametrize(
    ("named", "banner"), [("simulated", "Simulated study"), ("untrained", "Untrained")]
)
def test_banners_stand_on_page_and_index(tmp_path: Path, named: str, banner: str) -> None:
    record = RECORD | {"package": RECORD["package"] | {named: True}}
    index = tmp_path / "index.html"
    write_pages([record], {"N1": tmp_path / "N1.html"}, index)
    for path in (index, tmp_path / "N1.html"):
        assert banner in path.read_text() and "Research use only" in path.read_text()
    assert banner not in page_of(RECORD)


def test_nothing_is_written_where_a_page_says_what_none_may(tmp_path: Path) -> None:
    record = json.loads(json.dumps(RECORD))
    record["package"]["predicts"] = "an accurate model"
    with pytest.raises(WordingError, match="claims accuracy"):
        write_pages([record], {"N1": tmp_path / "N1.html"}, tmp_path / "index.html")
    assert not any(tmp_path.iterdir())


def test_hostile_words_do_no_harm(tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script>"}</style>'
    record = deepcopy(DIAGNOSIS)
    record |= {"patient_id": hostile, "label": hostile}
    record["inputs"][2] |= {"reason": hostile}
    record["estimates"]["classes"][1] |= {"name": hostile}
    record["remarks"] = [{"sentence": hostile, "flagged": True}]
    write_pages([record], {hostile: tmp_path / "N1.html"}, tmp_path / "index.html")
    for path in (tmp_path / "N1.html", tmp_path / "index.html"):
        html = path.read_text()
        assert "<script" not in html
        styles = [
            css for css in re.findall(r"<style>(.*?)</style>", html, re.S) if "top-left" in css
        ]
        assert all(css.count('"') == 4 for css in styles)
