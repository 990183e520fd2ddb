"""What the page asks for, made of the package, and the sheets that are made of what came."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from survfuse.artifacts.package import Package
from survfuse.core.files import atomic_path, read_object
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import (
    MODALITIES,
    PATIENT_TABLE,
    SHEET_OF,
    sources_of,
)
from survfuse.serve.runs import Run
from survfuse.serve.uploads import Place, Received

PATIENT = "patient_id"
PATIENTS = "patients"  # the field of the patient sheet
VALUE, SHEET, FILES = "value:", "sheet:", "files:"  # before the names of other fields
TABLE, LIST, LISTED = "table", "list", "listed"  # kinds of `FileInput`


@dataclass(frozen=True)
class Value:
    """A covariate of one patient: one of its levels if it has any, else what is typed.

    usual: the range of 98 of 100 patients of the study, where it is a number.
    """

    name: str
    levels: tuple[str, ...]
    number: bool
    usual: tuple[float, float] | None

    @property
    def field(self) -> str:
        return VALUE + self.name


@dataclass(frozen=True)
class FileInput:
    """A field for a table, for a sheet that lists files, or for files.

    had_by: how many patients of the study had it, if that is known. lacks: the file without which
    it cannot be read, if that was not named.
    """

    field: str
    source: str
    kind: str
    name: str
    had_by: int | None
    lacks: str


@dataclass(frozen=True)
class Form:
    """What is asked for one patient, and for several."""

    values: tuple[Value, ...]
    one: tuple[FileInput, ...]
    several: tuple[FileInput, ...]

    def fields(self, several: bool) -> frozenset[str]:
        """The names of the fields that hold no file."""
        return frozenset() if several else frozenset({PATIENT, *(one.field for one in self.values)})

    def places(self, several: bool, folder: Path) -> dict[str, Place]:
        """Where files are written, by the name of their field."""
        found = {PATIENTS: Place(folder, PATIENTS)} if several else {}
        for one in self.several if several else self.one:
            name = one.field.partition(":")[2]
            found[one.field] = {
                TABLE: Place(folder, one.source),
                LIST: Place(folder / name, "sheet"),
                LISTED: Place(folder / name, many=True, own_names=several),
            }[one.kind]
        return found


def form_of(package: Package, has_weights: bool) -> Form:
    """The form of a package. has_weights: whether the file that no package holds was named."""
    read = [name for name in read_object(package.files.reference) if name != PATIENT_TABLE]
    one, several = list[FileInput](), list[FileInput]()
    for source in sources_of(read):
        own = [name for name in read if MODALITIES[name].source == source]

        def asked(kind: str, field: str, name: str, source: str = source) -> FileInput:
            lacks = "" if has_weights else outside(package, name)
            had_by = package.record["study"].get("modalities", {}).get(name)
            return FileInput(field, source, kind, MODALITIES[name].label, had_by, lacks)

        if not listed_by(source):
            one.append(asked(TABLE, SHEET + source, own[0]))
            several.append(one[-1])
        else:
            one += [asked(LISTED, FILES + name, name) for name in own]
            several.append(asked(LIST, SHEET + source, own[0]))
            several.append(asked(LISTED, FILES + source, own[0]))
    return Form(values_of(package), tuple(one), tuple(several))


def listed_by(source: str) -> bool:
    """Whether a sheet lists files."""
    return MODALITIES[SHEET_OF[source]].lists_files


def outside(package: Package, name: str) -> str:
    """The file that the preparation of a modality reads and the package does not hold, if any."""
    resources = package.record["resources"]
    return next(
        (
            str(resources[place]["name"])
            for place in MODALITIES[name].files
            if place in resources and not resources[place]["inside"]
        ),
        "",
    )


def values_of(package: Package) -> tuple[Value, ...]:
    """The covariates of the study, with what its patients had."""
    usual = read_object(package.files.reference).get(PATIENT_TABLE) or {}
    found = []
    for name, covariate in package.config.cohort.covariates.items():
        kept = usual.get(name, {})
        number = covariate.type == "continuous"
        levels = [] if number else covariate.levels or kept.get("levels", [])
        low_high = tuple(kept["range"]) if "range" in kept else None
        found.append(Value(name, tuple(levels), number, low_high))
    return tuple(found)


def write_sheets(package: Package, form: Form, received: Received, run: Run) -> dict[str, str]:
    """The sheets of what came, by the key of `registry.SOURCES`, and `patients`; relative paths.

    A patient without sheets gets them here, with the values as they were typed: whatever is wrong
    with them is found where all sheets are checked.
    """
    sheets = {
        name: files[0].relative_to(run.sent).as_posix()
        for key, files in received.files.items()
        if (name := key.removeprefix(SHEET)) == PATIENTS or key.startswith(SHEET)
    }
    if PATIENTS in sheets:
        return sheets
    patient = received.values.get(PATIENT, "")
    row = {one.name: received.values.get(one.field, "") for one in form.values}
    write_rows(run.sent / "patients.tsv", [{PATIENT: patient, **row}])
    rows: dict[str, list[Mapping[str, str]]] = {}
    for key, files in received.files.items():
        if key.startswith(FILES):
            name = key.removeprefix(FILES)
            own = [path.relative_to(run.sent) for path in files]
            listed = modality(name).listed(patient, own, package.config)
            rows.setdefault(MODALITIES[name].source, []).extend(listed)
    for source, own_rows in rows.items():
        write_rows(run.sent / f"{source}.tsv", own_rows)
    return {**sheets, PATIENTS: "patients.tsv", **{source: f"{source}.tsv" for source in rows}}


def write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a sheet."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as sheet:
        writer = csv.DictWriter(sheet, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
