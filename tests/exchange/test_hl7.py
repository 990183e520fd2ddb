"""HL7 messages: read back by another library, whatever the values hold."""

from __future__ import annotations

import base64

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_fixture import PDF, of_classes, record
from survfuse.exchange.hl7 import escaped, message_of
from survfuse.exchange.identity import Identity


def read(content: bytes) -> hl7.Message:
    return hl7.parse(content.decode())


def test_another_library_reads_the_same_numbers() -> None:
    message = read(message_of(record(), PDF))
    assert str(message.segment("MSH")[9]) == "ORU^R01^ORU_R01"
    assert str(message.segment("MSH")[11]) == "T"
    assert str(message.segment("PID")[3][0][0]) == "P1"
    rows = message.segments("OBX")
    numbers = {str(row[3][0][0]): float(str(row[5])) for row in rows if str(row[2]) == "NM"}
    assert numbers == {"risk-12": 0.4, "risk-36": 57.12, "reference-risk-36": 40}
    assert {str(row[6][0][0]) for row in rows if str(row[2]) == "NM"} == {"%"}
    texts = [message.unescape(str(row[5])) for row in rows if str(row[2]) == "TX"]
    assert "Flagged: age is 140 | & ~ ^ \\ <b>." in texts
    (page,) = [row for row in rows if str(row[2]) == "ED"]
    assert base64.b64decode(str(page[5][0][4])) == PDF
    assert [str(row[1]) for row in rows] == [str(number + 1) for number in range(len(rows))]


def test_classes_are_numbers_too() -> None:
    rows = read(message_of(of_classes(), None)).segments("OBX")
    assert [float(str(row[5])) for row in rows if str(row[2]) == "NM"] == [70, 30]


def test_the_same_prediction_is_the_same_message() -> None:
    assert message_of(record(), PDF) == message_of(record(), PDF)


def test_identifiers_stand_where_they_belong() -> None:
    known = Identity("P1", "47|11", "St. Mary & Sons", "Doe^", "Jo", "1957-03-21")
    content = message_of(record(), None, known)
    patient = read(content).segment("PID")
    assert read(content).unescape(str(patient[3][0][0])) == "47|11"
    assert str(patient[3][0][4]) == "MR" and str(patient[7]) == "19570321"
    assert b"P1" not in content


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=60))
def test_no_text_separates_anything(text: str) -> None:
    message = read(f"MSH|^~\\&|a\rOBX|1|TX|x||{escaped(text)}|next\r".encode())
    assert message.unescape(str(message.segment("OBX")[5])) == text
    assert str(message.segment("OBX")[6]) == "next"


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb"])
def test_line_ends_end_no_segment(text: str) -> None:
    assert escaped(text) == "a\\.br\\b"
