"""FHIR bundles: read back by another library, sound by our own rules, the same every time."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from fhirclient.models.bundle import Bundle
from fhirclient.models.riskassessment import RiskAssessment

from exchange_fixture import PDF, horizon, of_classes, record
from survfuse.deployment.schemas import prediction_schema
from survfuse.exchange.fhir import InvariantError, bundle_of, check_assessment
from survfuse.exchange.identity import Identity


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in bundle["entry"]]
    return [one for one in found if one["resourceType"] == kind]


@pytest.mark.parametrize("one", [record(), of_classes()])
def test_the_records_of_these_tests_are_records(one: dict[str, Any]) -> None:
    jsonschema.validate(one, prediction_schema())


def test_another_library_reads_the_same_numbers() -> None:
    bundle = Bundle(json.loads(json.dumps(bundle_of(record(), PDF))))
    found = [one.resource for one in bundle.entry if isinstance(one.resource, RiskAssessment)]
    ours, reference = found
    late = ours.prediction[1]
    assert late.probabilityDecimal == 57.12
    assert late.outcome.text == "have died"
    assert late.whenRange.high.value == 36 and late.whenRange.high.code == "mo"
    assert "41 to 70 %" in late.rationale
    assert reference.prediction[0].probabilityDecimal == 40
    assert "Clinical Cox" in reference.method.text
    notes = [note.text for note in ours.note]
    assert notes[0].startswith("Research use only") and any("age is 140" in one for one in notes)
    assert any("gene expression: missing" in one for one in notes)


def test_a_small_risk_is_a_range_because_a_receiver_could_take_it_for_a_fraction() -> None:
    early = resources(bundle_of(record(), None), "RiskAssessment")[0]["prediction"][0]
    assert "probabilityDecimal" not in early
    assert (
        early["probabilityRange"]["low"]["value"],
        early["probabilityRange"]["high"]["value"],
    ) == (0, 1)


def test_classes_have_probabilities_and_no_horizon() -> None:
    (found,) = resources(bundle_of(of_classes(), None), "RiskAssessment")
    assert [one["probabilityDecimal"] for one in found["prediction"]] == [70, 30]
    assert not any("whenRange" in one for one in found["prediction"])


def test_every_reference_leads_into_the_bundle_and_the_page_is_whole() -> None:
    bundle = bundle_of(record(), PDF)
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    (document,) = resources(bundle, "DocumentReference")
    assert {document["subject"]["reference"], document["author"][0]["reference"]} <= urls
    assert len(urls) == len(bundle["entry"])
    page = document["content"][0]["attachment"]
    assert base64.b64decode(page["data"]) == PDF and page["size"] == len(PDF)
    assert base64.b64decode(page["hash"]) == hashlib.sha1(PDF).digest()
    text = base64.b64decode(document["content"][1]["attachment"]["data"])
    assert json.loads(text) == record()


def test_the_same_prediction_is_the_same_bundle_and_another_patient_is_another() -> None:
    first, second = (json.dumps(bundle_of(record(), PDF)) for _ in range(2))
    assert first == second
    assert bundle_of(record("P2"), PDF)["id"] != bundle_of(record(), PDF)["id"]


def test_nobody_is_named_unless_a_key_says_so() -> None:
    (pseudonym,) = resources(bundle_of(record(), None), "Patient")
    assert set(pseudonym) == {"resourceType", "identifier"}
    known = Identity("P1", "4711", "Hospital", "Doe", "Jo", "1957-03-21")
    bundle = bundle_of(record(), None, known)
    (named,) = resources(bundle, "Patient")
    assert named["identifier"][0]["value"] == "4711" and named["birthDate"] == "1957-03-21"


def sound() -> dict[str, Any]:
    found = resources(bundle_of(record(), None), "RiskAssessment")[0]
    return copy.deepcopy(found)


def with_range(low: float, high: float) -> dict[str, Any]:
    unit = {"unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    return {"low": {"value": low, **unit}, "high": {"value": high, **unit}}


def change(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def changed(one: dict[str, Any]) -> None:
        one["prediction"][1][name] = value

    return changed


def ranged(low: float, high: float) -> Callable[[dict[str, Any]], None]:
    def changed(one: dict[str, Any]) -> None:
        del one["prediction"][1]["probabilityDecimal"]
        one["prediction"][1]["probabilityRange"] = with_range(low, high)

    return changed


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (change("probabilityDecimal", 135), "no percentage"),
        (change("probabilityDecimal", 0.3), "a fraction"),
        (change("probabilityDecimal", float("nan")), "no percentage"),
        (lambda one: one.update(status="wrong"), "none of registered"),
        (change("probabilityRange", with_range(10, 20)), "exactly one"),
        (ranged(50, 10), "above the upper"),
        (ranged(-1, 10), "is none"),
        (lambda one: one.update(subject=None), "no subject"),
        (lambda one: one["prediction"][1]["whenRange"]["high"].update(code="d"), "no unit a or mo"),
        (change("outcome", None), "no outcome"),
    ],
)
def test_what_the_library_lets_pass_is_refused(
    spoil: Callable[[dict[str, Any]], None], fault: str
) -> None:
    one = sound()
    check_assessment(one)
    spoil(one)
    with pytest.raises(InvariantError, match=fault):
        check_assessment(one)


def test_a_record_with_an_impossible_risk_is_not_exported() -> None:
    with pytest.raises(InvariantError, match="no percentage"):
        bundle_of(
            record(estimates={**record()["estimates"], "horizons": [horizon(12, 1.5, 0, 1)]}), None
        )
