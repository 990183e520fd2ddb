"""Whether folds are still the ones that were made: `splits.json` holds the hash of every file.

A test patient among those who are trained on, or an outcome that was edited, would make every score
that follows untrue, and nothing would look wrong.
"""

from __future__ import annotations

from pathlib import Path

from survfuse.artifacts.layout import CohortFolder, FoldFolder, SplitsFolder, fold_numbers
from survfuse.core.errors import UserInputError
from survfuse.core.files import (
    read_json,
    read_text_table,
    require_unchanged,
    sha256_file,
    write_json,
)

SCHEMA = 1
AGAIN = "run make-splits again, and what follows"


def write_split_record(out: Path, cohort: Path) -> None:
    """Record the tables of `out`, which were just written, and those of `cohort` they came from."""
    splits, made_from = SplitsFolder(out), CohortFolder(cohort)
    write_json(
        splits.record,
        {
            "schema": SCHEMA,
            "sha256": {
                path.relative_to(out).as_posix(): sha256_file(path) for path in splits.tables()
            },
            "cohort": {
                table.name: sha256_file(table) for table in (made_from.outcomes, made_from.clinical)
            },
        },
    )


def read_hashes(splits: Path, part: str) -> dict[str, str]:
    """The recorded hashes of the folds (`sha256`) or of the cohort; none without a record."""
    record = SplitsFolder(splits.parent).record
    if not record.is_file():
        return {}
    try:
        return {str(name): str(value) for name, value in read_json(record)[part].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserInputError(f"{record}: is no record of folds; {AGAIN}") from None


def verify_splits(splits: Path) -> None:
    """Raise UserInputError unless splits.tsv is as it was made."""
    hashes = read_hashes(splits, "sha256")
    if splits.name in hashes:
        require_unchanged(splits, hashes[splits.name], SplitsFolder(splits.parent).record, AGAIN)


def verify_fold(splits: Path, fold_directory: Path) -> None:
    """Raise UserInputError unless a fold is as it was made, and as splits.tsv divides the patients.

    The second holds without a record too: nobody is both trained on and tested.
    """
    verify_splits(splits)
    record, hashes = SplitsFolder(splits.parent).record, read_hashes(splits, "sha256")
    train, test = FoldFolder(fold_directory).train, FoldFolder(fold_directory).test_ids
    tables = [table for table in (train, test) if table.is_file()]
    for table in tables:
        if (name := f"{fold_directory.name}/{table.name}") in hashes:
            require_unchanged(table, hashes[name], record, AGAIN)
    divided = read_text_table(splits, ["patient_id", "repeat", "fold"])
    repeat, fold = map(str, fold_numbers(fold_directory))
    in_repeat = divided[divided["repeat"] == repeat]
    tested = set(in_repeat.loc[in_repeat["fold"] == fold, "patient_id"])
    expected = {train: set(in_repeat["patient_id"]) - tested, test: tested}
    for table in tables:
        listed = set(read_text_table(table, ["patient_id"])["patient_id"])
        if differing := sorted(listed ^ expected[table]):
            where = "is tested in this fold" if differing[0] in tested else "belongs to the others"
            raise UserInputError(
                f"{table}: does not list the patients that {splits} puts there (patient "
                f"{differing[0]} {where}); {AGAIN}"
            )


def verify_cohort(splits: Path, table: Path) -> None:
    """Raise UserInputError unless outcomes.tsv or clinical.tsv is what the folds were made from."""
    hashes, record = read_hashes(splits, "cohort"), SplitsFolder(splits.parent).record
    if table.name in hashes:
        require_unchanged(table, hashes[table.name], record, "run check-cohort again")
