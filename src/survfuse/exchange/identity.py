"""Who a patient is: a pseudonym, or what a key file that is kept apart says of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from survfuse.core.errors import UserInputError
from survfuse.core.files import read_text_table

log = logging.getLogger(__name__)

REQUIRED = ("patient_id", "identifier")
OTHERS_MAY_READ = 0o077
# Control characters, which end a segment, a value or a line in one of the forms.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Identity:
    """A patient. patient_id: of the sheets, taken to be a pseudonym, as everywhere in a study.

    identifier: of the hospital, within `authority`; it and what follows only where it was asked
    for. birth_date: ISO 8601. Empty is unknown.
    """

    patient_id: str
    identifier: str = ""
    authority: str = ""
    family_name: str = ""
    given_name: str = ""
    birth_date: str = ""

    @property
    def shown(self) -> str:
        """The identifier that an export carries."""
        return self.identifier or self.patient_id


def read_key_file(path: Path) -> dict[str, Identity]:
    """The identities by patient_id, of a table of these tab-separated columns.

    patient_id and identifier are required; authority, family_name, given_name and birth_date may be
    there. Raises UserInputError with the row of what is wrong.
    """
    table = read_text_table(path, REQUIRED)
    known = [field.name for field in fields(Identity)]
    if unknown := [name for name in table if name not in known]:
        raise UserInputError(
            f"{path}: the column {unknown[0]} is not known; there may be {', '.join(known)}"
        )
    if path.stat().st_mode & OTHERS_MAY_READ:
        log.warning("%s: others than its owner may read the key file; chmod 600 it", path)
    found: dict[str, Identity] = {}
    rows_of: dict[tuple[str, str], int] = {}
    for row, values in enumerate(table.to_dict("records"), start=2):
        one = Identity(**{str(name): str(value).strip() for name, value in values.items()})
        check(one, f"{path}, row {row}")
        if one.patient_id in found:
            raise UserInputError(f"{path}, row {row}: the patient_id was there already; keep one")
        first = rows_of.setdefault((one.authority, one.identifier), row)
        if first != row:
            raise UserInputError(
                f"{path}, row {row}: has the identifier of row {first}, but is another patient"
            )
        found[one.patient_id] = one
    return found


def check(one: Identity, place: str) -> None:
    """Raise UserInputError unless an identity can be exported."""
    for name in REQUIRED:
        if not getattr(one, name):
            raise UserInputError(f"{place}: {name} is empty; fill it or leave the row out")
    for field in fields(one):
        if UNPRINTABLE.search(getattr(one, field.name)):
            raise UserInputError(f"{place}: {field.name} holds a control character; remove it")
    if one.birth_date:
        try:
            date.fromisoformat(one.birth_date)
        except ValueError:
            raise UserInputError(
                f"{place}: birth_date is no date such as 1957-03-21; correct it"
            ) from None


def identities(
    patients: list[str], key_file: Path | None, with_identifiers: bool
) -> Mapping[str, Identity]:
    """Of each patient, pseudonyms alone unless identifiers were asked for and there is a key file.

    Raises UserInputError where one is given without the other, or a patient is not in the file.
    """
    if with_identifiers != (key_file is not None):
        raise UserInputError(
            "--with-identifiers and --identifiers go together: the switch says that identifiers "
            "are to leave, the key file which; give both or neither"
        )
    if key_file is None:
        return {patient: Identity(patient) for patient in patients}
    known = read_key_file(key_file)
    if absent := [patient for patient in patients if patient not in known]:
        raise UserInputError(
            f"{key_file}: {len(absent)} of {len(patients)} patients are not in it, the first is "
            f"{absent[0]}; add their rows"
        )
    return {patient: known[patient] for patient in patients}
