"""FHIR R4: a bundle with the risks of one patient, the package that estimated them, and the page.

It is a collection, not a document or a transaction: what a receiver does with it is left to the
receiver. Probabilities are percentages, as R4 has them. `fhir.resources` checks the structure;
what it lets pass and R4 or this package does not, `check_assessment` refuses.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from survfuse.core.errors import UserInputError
from survfuse.exchange.identity import Identity
from survfuse.exchange.optional import required
from survfuse.exchange.statements import (
    Record,
    Statement,
    method,
    notes,
    stable_uuid,
    statements,
)

STATUS = "preliminary"  # of R4's ObservationStatus: nobody has verified it
STATUSES = ("registered", "preliminary", "final", "amended", "corrected", "cancelled")
UCUM = "http://unitsofmeasure.org"
UNITS = ("a", "mo")


class InvariantError(UserInputError):
    """A resource says what no resource may say."""


def bundle_of(
    record: Record, pdf: bytes | None, identity: Identity | None = None
) -> dict[str, Any]:
    """The bundle of one patient as JSON. Raises InvariantError, of a record that is not sound.

    pdf: the page of the patient, if there is one. identity: a pseudonym where it is left out.
    """
    who = identity or Identity(record["patient_id"])
    patient, device = urn(record, "Patient"), urn(record, "Device")
    resources = {
        patient: patient_resource(who),
        device: device_resource(record),
        urn(record, "RiskAssessment"): assessment(
            record, record["label"], record["estimates"], patient, device
        ),
    }
    if record["reference"] is not None:
        other = record["reference"]
        resources[urn(record, "RiskAssessment of the reference")] = assessment(
            record, other["label"], other["estimates"], patient, device
        )
    resources[urn(record, "DocumentReference")] = document(record, pdf, patient, device)
    bundle = {
        "resourceType": "Bundle",
        "id": str(stable_uuid(record, "Bundle")),
        "type": "collection",
        "timestamp": f"{record['predicted_on']}T00:00:00Z",
        "entry": [{"fullUrl": url, "resource": one} for url, one in resources.items()],
    }
    for one in resources.values():
        if one["resourceType"] == "RiskAssessment":
            check_assessment(one)
    check_structure(bundle)
    return bundle


def urn(record: Record, what: str) -> str:
    """The address of a resource within the bundle."""
    return f"urn:uuid:{stable_uuid(record, what)}"


def patient_resource(who: Identity) -> dict[str, Any]:
    """A pseudonym, or what the key file says."""
    if not who.identifier:
        pseudonym = {"use": "secondary", "type": {"text": "pseudonym"}, "value": who.patient_id}
        return {"resourceType": "Patient", "identifier": [pseudonym]}
    own: dict[str, Any] = {"use": "official", "value": who.identifier}
    if who.authority:
        own["assigner"] = {"display": who.authority}
    found: dict[str, Any] = {"resourceType": "Patient", "identifier": [own]}
    name = {
        **({"family": who.family_name} if who.family_name else {}),
        **({"given": [who.given_name]} if who.given_name else {}),
    }
    if name:
        found["name"] = [name]
    if who.birth_date:
        found["birthDate"] = who.birth_date
    return found


def device_resource(record: Record) -> dict[str, Any]:
    """The package, which is no medical device: R4 calls any software that acts a Device."""
    package = record["package"]
    return {
        "resourceType": "Device",
        "identifier": [{"type": {"text": "SHA-256 of package.json"}, "value": package["sha256"]}],
        "status": "active",
        "deviceName": [{"name": package["name"], "type": "user-friendly-name"}],
        "version": [{"type": {"text": "survfuse"}, "value": package["survfuse"]}],
        "type": {"text": "prediction model, no medical device"},
        "note": [{"text": f"{package['predicts']}. {record['use']}"}],
    }


def assessment(
    record: Record, label: str, estimates: Record, patient: str, device: str
) -> dict[str, Any]:
    """The risks that one row estimates."""
    predicted = record["predicted"]
    return {
        "resourceType": "RiskAssessment",
        "status": STATUS,
        "method": {"text": method(record, label)},
        "code": {"text": f"{predicted['name']}: {predicted['definition']}"},
        "subject": {"reference": patient},
        "occurrenceDateTime": record["predicted_on"],
        "performer": {"reference": device},
        "prediction": [prediction(one) for one in statements(record, estimates)],
        "note": [{"text": text} for text in notes(record)],
    }


def prediction(one: Statement) -> dict[str, Any]:
    """One probability, its interval in words: R4 allows a number or a range, not both.

    Below 1 % it is the range 0 to 1 %, so that no receiver takes a percentage for a fraction.
    """
    rationale = f"{one.interval}: {one.low_percent:g} to {one.high_percent:g} %"
    found: dict[str, Any] = {"outcome": {"text": one.outcome}, "rationale": rationale}
    if one.percent >= 1:
        found["probabilityDecimal"] = one.percent
    else:
        found["probabilityRange"] = {"low": percentage(0), "high": percentage(1)}
    if one.months is not None:
        found["whenRange"] = {"low": months(0), "high": months(one.months)}
    return found


def percentage(number: float) -> dict[str, Any]:
    """A quantity in UCUM's percent."""
    return {"value": number, "unit": "%", "system": UCUM, "code": "%"}


def months(number: float) -> dict[str, Any]:
    """A quantity in UCUM's months."""
    return {"value": number, "unit": "months", "system": UCUM, "code": "mo"}


def document(record: Record, pdf: bytes | None, patient: str, device: str) -> dict[str, Any]:
    """The record, and the page where there is one."""
    text = json.dumps(record, sort_keys=True, allow_nan=False, ensure_ascii=False).encode()
    contents = [attachment(text, "application/json", "record of the prediction")]
    if pdf is not None:
        contents.insert(0, attachment(pdf, "application/pdf", "page of the patient"))
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "docStatus": "preliminary",
        "type": {"text": "prediction by a statistical model, for research"},
        "subject": {"reference": patient},
        "author": [{"reference": device}],
        "date": f"{record['predicted_on']}T00:00:00Z",
        "description": record["use"],
        "content": contents,
    }


def attachment(content: bytes, kind: str, title: str) -> dict[str, Any]:
    """A file with its size and its hash, which R4 wants as SHA-1."""
    return {
        "attachment": {
            "contentType": kind,
            "title": title,
            "data": base64.b64encode(content).decode(),
            "size": len(content),
            "hash": base64.b64encode(hashlib.sha1(content).digest()).decode(),
        }
    }


def check_structure(bundle: Mapping[str, Any]) -> None:
    """Raise InvariantError where `fhir.resources` does not know a bundle for one of R4."""
    required("fhir.resources", "exchange")
    from fhir.resources.R4B.bundle import Bundle
    from pydantic import ValidationError

    try:
        Bundle.model_validate(dict(bundle))
    except ValidationError as error:
        raise InvariantError(f"no FHIR R4 bundle: {error.errors()[0]['msg']}") from None


def check_assessment(one: Mapping[str, Any]) -> None:
    """Raise InvariantError unless a RiskAssessment keeps the rules of R4 and of this package."""
    if faults := list(faults_of(one)):
        raise InvariantError(f"no sound RiskAssessment: {'; '.join(faults)}")


def faults_of(one: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a RiskAssessment."""
    if one.get("status") not in STATUSES:
        yield f"the status {one.get('status')!r} is none of {', '.join(STATUSES)}"
    if not (one.get("subject") or {}).get("reference"):
        yield "there is no subject"
    for number, found in enumerate(one.get("prediction", [])):
        for fault in faults_of_prediction(found):
            yield f"prediction {number}: {fault}"


def faults_of_prediction(found: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with one probability: one form, in percent, with an outcome and a time."""
    forms = [name for name in ("probabilityDecimal", "probabilityRange") if name in found]
    if len(forms) != 1:
        yield "exactly one of probabilityDecimal and probabilityRange is allowed"
    if not (found.get("outcome") or {}).get("text"):
        yield "there is no outcome"
    if "probabilityDecimal" in found and not is_percentage(found["probabilityDecimal"]):
        yield f"{found['probabilityDecimal']} is no percentage from 1 to 100; is it a fraction?"
    if "probabilityRange" in found:
        yield from faults_of_range(found["probabilityRange"], ("%",), 100.0)
    if "whenRange" in found:
        yield from faults_of_range(found["whenRange"], UNITS, math.inf)


def faults_of_range(found: Mapping[str, Any], units: tuple[str, ...], most: float) -> Iterator[str]:
    """What is wrong with two bounds: order, size, units of UCUM."""
    low, high = (found.get(side) or {} for side in ("low", "high"))
    for one in (low, high):
        if one.get("system") != UCUM or one.get("code") not in units:
            yield f"a bound has no unit {' or '.join(units)} of UCUM"
        if not is_number(one.get("value")) or not 0 <= one["value"] <= most:
            yield f"the bound {one.get('value')} is none"
    if (
        is_number(low.get("value"))
        and is_number(high.get("value"))
        and low["value"] > high["value"]
    ):
        yield "the lower bound is above the upper one"


def is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_percentage(value: object) -> bool:
    """Whether a value is from 1 to 100: what is below is stated as a range."""
    return isinstance(value, int | float) and is_number(value) and 1 <= value <= 100
