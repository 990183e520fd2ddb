"""HL7 v2.5.1: an unsolicited observation message (ORU^R01) with the numbers, remarks and page.

Values are escaped here, because whatever stands in a sheet may stand in them.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from survfuse.exchange.identity import Identity
from survfuse.exchange.optional import required
from survfuse.exchange.statements import (
    Record,
    Statement,
    method,
    notes,
    predicted_on,
    stable_uuid,
    statements,
)

if TYPE_CHECKING:
    from hl7apy.core import Message

VERSION = "2.5.1"
SCHEME = "99SURVFUSE"
ESCAPES = {"\\": "E", "|": "F", "^": "S", "&": "T", "~": "R", "\n": ".br"}
ESCAPED = str.maketrans({sign: f"\\{name}\\" for sign, name in ESCAPES.items()} | {"\r": ""})
PRELIMINARY = "P"  # nobody has verified it


def message_of(record: Record, pdf: bytes | None, identity: Identity | None = None) -> bytes:
    """The message in UTF-8. Raises MissingResourceError without hl7apy.

    pdf: the page of the patient, if there is one. identity: a pseudonym where it is left out.
    """
    required("hl7apy", "exchange")
    from hl7apy.core import Message

    message = Message("ORU_R01", version=VERSION)
    header(message, record)
    result = message.add_group("ORU_R01_PATIENT_RESULT")
    about(result.add_group("ORU_R01_PATIENT"), identity or Identity(record["patient_id"]))
    order = result.add_group("ORU_R01_ORDER_OBSERVATION")
    request = order.add_segment("OBR")
    request.obr_1 = "1"
    request.obr_3 = str(stable_uuid(record, "message"))
    request.obr_4 = coded("prediction", "Prediction by a statistical model for research")
    request.obr_7 = day(record)
    request.obr_25 = PRELIMINARY
    for number, (kind, code, value, extra) in enumerate(observations(record, pdf), start=1):
        one = order.add_group("ORU_R01_OBSERVATION").add_segment("OBX")
        one.obx_1, one.obx_2, one.obx_3, one.obx_5 = str(number), kind, code, value
        one.obx_11, one.obx_14 = PRELIMINARY, day(record)
        for field, content in extra.items():
            setattr(one, field, content)
    text: str = message.to_er7()
    return text.encode()


def header(message: Message, record: Record) -> None:
    """Who sends what, and when."""
    message.msh.msh_3 = "survfuse"
    message.msh.msh_4 = escaped(record["package"]["name"])
    message.msh.msh_7 = day(record)
    message.msh.msh_9 = "ORU^R01^ORU_R01"
    message.msh.msh_10 = stable_uuid(record, "message").hex[:20]  # of ST, 20 characters
    message.msh.msh_11 = "T"  # for training: no production system is to act on it
    message.msh.msh_18 = "UNICODE UTF-8"


def about(group: Message, who: Identity) -> None:
    """Who the patient is."""
    patient = group.add_segment("PID")
    kind = "MR" if who.identifier else "PI"  # medical record number, or internal to the study
    patient.pid_3 = f"{escaped(who.shown)}^^^{escaped(who.authority)}^{kind}"
    patient.pid_5 = f"{escaped(who.family_name)}^{escaped(who.given_name)}"
    if who.birth_date:
        patient.pid_7 = who.birth_date.replace("-", "")


def observations(record: Record, pdf: bytes | None) -> list[tuple[str, str, str, dict[str, str]]]:
    """Type, code and value of every OBX, and its other fields."""
    rows = [("", record["label"], record["estimates"])]
    if record["reference"] is not None:
        other = record["reference"]
        rows.append(("reference-", other["label"], other["estimates"]))
    found = [
        observation(record, f"{before}{one.code}", label, one)
        for before, label, estimates in rows
        for one in statements(record, estimates)
    ]
    found += [
        ("TX", coded(f"note-{number}", "Note"), escaped(text), {})
        for number, text in enumerate(notes(record), start=1)
    ]
    if pdf is not None:
        data = f"survfuse^application^pdf^Base64^{base64.b64encode(pdf).decode()}"
        found.append(("ED", coded("page", "Page of the patient"), data, {}))
    return found


def observation(
    record: Record, code: str, label: str, one: Statement
) -> tuple[str, str, str, dict[str, str]]:
    """A probability in percent; its interval is in the method, as OBX-7 is of healthy people."""
    interval = f"{one.interval}: {one.low_percent:g} to {one.high_percent:g} %"
    extra = {
        "obx_6": "%^percent^UCUM",
        "obx_17": coded("model", f"{method(record, label)}; {interval}"),
    }
    return "NM", coded(code, one.within), f"{one.percent:g}", extra


def coded(code: str, meaning: str) -> str:
    """A coded element of a private scheme."""
    return f"{escaped(code)}^{escaped(meaning)}^{SCHEME}"


def escaped(text: str) -> str:
    """A text in which no character separates anything."""
    return text.translate(ESCAPED)


def day(record: Record) -> str:
    """The day of the prediction."""
    return predicted_on(record).strftime("%Y%m%d")
