"""The manifest of a stage that sets bad items aside: a table with the status of every item.

Slides and brain volumes have one each. A row is a frozen dataclass whose fields are the columns:
text, whole numbers, or numbers that may be missing.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_type_hints

from survfuse.core.errors import TooManyFailuresError, UserInputError
from survfuse.core.files import atomic_path, read_text_table, sha256_json
from survfuse.core.messages import marked

log = logging.getLogger(__name__)

OK, QUARANTINED = "ok", "quarantined"
SHOWN_FAULTS = 20
# Columns that say where results lie and how long they took, not what is in them; hashes do that.
PLACES_AND_TIMES = (
    *("seconds", "patches", "features", "overview"),
    *("volume", "tensor", "mask", "transform", "picture", "alignment"),
)


class Status(Protocol):
    """A row: a dataclass with what identifies the item, its status, and why it has that."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def key(self) -> tuple[str, ...]: ...

    @property
    def status(self) -> str: ...

    @property
    def reason(self) -> str: ...


Row = TypeVar("Row", bound=Status)


class Fault(Exception):
    """Base of all reasons to quarantine an item; the message says what to do about it.

    words: what pages say of it, in a few words.
    """

    code = "fault"
    words = marked("it could not be used")

    @classmethod
    def known(cls) -> dict[str, str]:
        """The words of the reasons of one kind of item, by their codes."""
        return {fault.code: fault.words for fault in cls.__subclasses__()}

    @property
    def reason(self) -> str:
        """The manifest's entry: a stable code, then the sentence for the reader."""
        return f"{self.code}: {self}"


@dataclass(frozen=True)
class Manifest(Generic[Row]):
    """The manifests of one stage, and the words of its messages."""

    row: type[Row]
    items: str  # what the rows are, e.g. slides
    command: str  # that writes the manifest of a batch, e.g. process-slides
    remedy: str  # what to do once the batches are deleted, e.g. process the slides again
    limit: str  # setting with the largest share of failures, e.g. slides.max_failed_fraction
    before_key: str = ""  # a word before a key that does not speak for itself

    def write(self, path: Path, rows: Iterable[Row]) -> None:
        """Write the status of items, sorted by their keys."""
        columns = [field.name for field in fields(self.row)]
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, columns, delimiter="\t", lineterminator="\n")
            writer.writeheader()
            for row in sorted(rows, key=lambda row: row.key):
                writer.writerow({name: cell(value) for name, value in asdict(row).items()})

    def read(self, path: Path) -> list[Row]:
        """Read the status of items; UserInputError if the file is no such manifest.

        Columns that have a default may be absent: an earlier version did not write them all.
        """
        known = {field.name for field in fields(self.row)}
        needed = {field.name for field in fields(self.row) if field.default is MISSING}
        try:
            with Path(path).open(encoding="utf-8", newline="") as handle:
                reader = csv.DictReader(handle, delimiter="\t")
                if needed <= set(reader.fieldnames or ()) <= known:
                    return [parse_row(self.row, row) for row in reader]
        except (UnicodeDecodeError, csv.Error):
            pass
        raise UserInputError(f"{path}: is no manifest of {self.items}; run {self.command} again")

    def merge(self, batches: Sequence[Path], out: Path) -> None:
        """Join the manifests of all batches into one; UserInputError if an item is in two."""
        merged: dict[tuple[str, ...], Row] = {}
        for path in batches:
            for row in self.read(path):
                if row.key in merged:
                    raise UserInputError(
                        f"{path}: {self.before_key}{' '.join(row.key)} is already in another "
                        f"batch; delete the manifests of the batches and {self.remedy}"
                    )
                merged[row.key] = row
        self.write(out, merged.values())

    def check_failures(self, path: Path, max_failed_fraction: float) -> None:
        """Raise TooManyFailuresError, with items and reasons, if more than this part failed.

        A single failure is no share to speak of: it stops the run only if no item is left, or if
        none may fail. Failures that are tolerated are listed in a warning.
        """
        rows = self.read(path)
        failed = [row for row in rows if row.status != OK]
        tolerated = max_failed_fraction * len(rows)
        if max_failed_fraction > 0 and len(rows) > 1:
            tolerated = max(tolerated, 1)
        if not failed:
            return
        shown = [f"  {' '.join(row.key)}: {row.reason}" for row in failed[:SHOWN_FAULTS]]
        if len(failed) > SHOWN_FAULTS:
            shown.append(f"  and {len(failed) - SHOWN_FAULTS} more, see {path}")
        counted = f"{len(failed)} of {len(rows)} {self.items} are quarantined"
        listed = "\n".join(shown)
        if len(failed) <= tolerated:
            log.warning("%s, and the run goes on without them:\n%s", counted, listed)
            return
        raise TooManyFailuresError(
            f"{counted}, more than {self.limit} = {max_failed_fraction:g} allows; mend or remove "
            f"them, or raise that limit:\n{listed}"
        )


def table_digest(path: Path) -> str:
    """Hash of a manifest, the same wherever the study lies and however long the stage took.

    Raises UserInputError where it is no table.
    """
    table = read_text_table(path, [])
    return sha256_json(table.drop(columns=list(PLACES_AND_TIMES), errors="ignore").to_dict("split"))


def cell(value: str | int | float | None) -> str:
    """A value as text; numbers with six digits, None as the empty cell."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def parse_row(row: type[Row], cells: Mapping[str, str]) -> Row:
    """The row of a manifest with its numbers as numbers."""
    kinds = get_type_hints(row)
    return row(**{name: parsed(text, kinds[name]) for name, text in cells.items()})


def parsed(text: str, kind: Any) -> str | int | float | None:
    """A cell as a value of the type that its field has."""
    if kind is int:
        return int(text)
    if kind == float | None:
        return float(text) if text else None
    return text
