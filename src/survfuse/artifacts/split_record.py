"""Whether folds are still the ones that were made: `splits.json` holds the hash of every file.

A test patient among those who are trained on, or an outcome that was edited, would make every score
that follows untrue, and nothing would look wrong.
"""

from __future__ import annotations

from pathlib import Path

from survfuse.core.errors import UserInputError
from survfuse.core.files import (
    read_json,
    read_text_table,
    require_unchanged,
    sha256_file,
    write_json,
)

NAME = "splits.json"
SCHEMA = 1
AGAIN = "run make-splits again, and what follows"


def write_split_record(out: Path, cohort: Path) -> None:
    """Record the tables of `out`, which were just written, and those of `cohort` they came from."""
    tables = [*out.glob("splits.tsv"), *out.glob("r*f*/*.tsv")]
    write_json(
        out / NAME,
        {
            "schema": SCHEMA,
            "sha256": {path.relative_to(out).as_posix(): sha256_file(path) for path in tables},
            "cohort": {
                name: sha256_file(cohort / name) for name in ("outcomes.tsv", "clinical.tsv")
            },
        },
    )


def read_hashes(splits: Path, part: str) -> dict[str, str]:
    """The recorded hashes of the folds (`sha256`) or of the cohort; none without a record."""
    record = splits.parent / NAME
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
        require_unchanged(splits, hashes[splits.name], splits.parent / NAME, AGAIN)


def verify_fold(splits: Path, fold_directory: Path) -> None:
    """Raise UserInputError unless a fold is as it was made, and as splits.tsv divides the patients.

    The second holds without a record too: nobody is both trained on and tested.
    """
    verify_splits(splits)
    record, hashes = splits.parent / NAME, read_hashes(splits, "sha256")
    train, test = fold_directory / "train.tsv", fold_directory / "test_ids.tsv"
    tables = [table for table in (train, test) if table.is_file()]
    for table in tables:
        if (name := f"{fold_directory.name}/{table.name}") in hashes:
            require_unchanged(table, hashes[name], record, AGAIN)
    divided = read_text_table(splits, ["patient_id", "repeat", "fold"])
    repeat, _, fold = fold_directory.name.removeprefix("r").partition("f")
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
    hashes, record = read_hashes(splits, "cohort"), splits.parent / NAME
    if table.name in hashes:
        require_unchanged(table, hashes[table.name], record, "run check-cohort again")
