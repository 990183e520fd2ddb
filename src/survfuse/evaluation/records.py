"""What stands beside a table of predictions: hashes of the files, and what every fold could read.

`{model}.json` is written with `{model}.tsv` and its companions. Tables that were changed since are
refused, because a score of an edited prediction is a score of nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from survfuse.artifacts.evaluation import LeftOutRow
from survfuse.artifacts.layout import folds_in_words
from survfuse.config.models import ModelConfig
from survfuse.config.study import LeftOut
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json, sha256_file, write_json
from survfuse.models.runnable import reference_among

SCHEMA = 1


@dataclass(frozen=True)
class FoldRecord:
    """What a row had to read in the test part of one fold.

    read: test patients by modality, of those that the fold's model learned to read. n_read: test
    patients with any of them. not_estimable: why nothing was learned in this fold, else empty; the
    row then predicts the average training patient.
    """

    repeat: int
    fold: int
    n_tested: int
    n_read: int
    read: dict[str, int] = field(default_factory=dict)
    not_estimable: str = ""


def record_of(table: Path) -> Path:
    """The record beside a table of predictions."""
    return table.with_suffix(".json")


def write_record(
    table: Path, companions: Iterable[Path | None], folds: Sequence[FoldRecord]
) -> None:
    """Write the record of a table and of what was written with it, last of all."""
    files = [table, *(path for path in companions if path is not None)]
    write_json(
        record_of(table),
        {
            "schema": SCHEMA,
            "sha256": {path.name: sha256_file(path) for path in files},
            "folds": [asdict(fold) for fold in folds],
        },
    )


def read_record(table: Path) -> tuple[FoldRecord, ...] | None:
    """What a row read, fold by fold; None where its predictions were brought without a record.

    Raises UserInputError where the table, or one that was written with it, has changed since.
    """
    path = record_of(table)
    if not path.is_file():
        return None
    try:
        stored = read_json(path)
        folds = tuple(FoldRecord(**fold) for fold in stored["folds"])
        hashes: dict[str, str] = dict(stored["sha256"])
    except (ValueError, KeyError, TypeError):
        raise UserInputError(f"{path}: is no record of predictions; predict again") from None
    for name, expected in hashes.items():
        file = table.with_name(name)
        if file.is_file() and sha256_file(file) != expected:
            raise UserInputError(
                f"{file}: was changed after it was predicted (its SHA-256 differs from that in "
                f"{path.name}); delete it and predict again"
            )
    return folds


def not_estimable(model: str, folds: Sequence[FoldRecord]) -> list[str]:
    """A sentence for every fold in which the row could not be fitted."""
    repeats = 1 + max((fold.repeat for fold in folds), default=0)
    return [
        f"In {folds_in_words([one.fold], one.repeat if repeats > 1 else None)} {model} predicts "
        f"the average training patient: {one.not_estimable}."
        for one in folds
        if one.not_estimable
    ]


def never_estimable(
    models: Sequence[ModelConfig], records: Mapping[str, Sequence[FoldRecord] | None]
) -> list[LeftOut]:
    """The rows that could be fitted in no fold."""
    return [
        LeftOut(
            f"models.{model.name}",
            f"The row {model.name} is left out: in no fold could it be fitted "
            f"({folds[0].not_estimable}).",
            "add patients who have what it reads, or remove it",
        )
        for model in models
        if (folds := records.get(model.name)) and all(fold.not_estimable for fold in folds)
    ]


def estimable(
    models: Sequence[ModelConfig],
    reference: str,
    records: Mapping[str, Sequence[FoldRecord] | None],
) -> tuple[list[ModelConfig], str, list[LeftOut]]:
    """The rows that were fitted somewhere, the reference among them, and what is left out.

    Raises UserInputError where no row is left.
    """
    left_out = never_estimable(models, records)
    if not left_out:
        return list(models), reference, []
    gone = {one.key for one in left_out}
    kept = [model for model in models if f"models.{model.name}" not in gone]
    if not kept:
        raise UserInputError(f"models: no row could be fitted. {left_out[0].sentence}")
    reference, notes = reference_among(kept, reference)
    return kept, reference, [*left_out, *notes]


def left_out_as_json(left_out: Iterable[LeftOut]) -> list[LeftOutRow]:
    """The rows that are not scored, as evaluation.json lists them."""
    return [
        {"model": one.key.removeprefix("models."), "sentence": one.sentence}
        for one in left_out
        if one.key.startswith("models.") and "is left out" in one.sentence
    ]


def described(model: str, folds: Sequence[FoldRecord] | None) -> dict[str, Any]:
    """The part of a row of evaluation.json that says what it read, of the first repeat."""
    if folds is None:
        return {"n_read": None, "read": None, "not_estimable": []}
    first = [fold for fold in folds if fold.repeat == 0]
    names = dict.fromkeys(name for fold in first for name in fold.read)
    return {
        "n_read": sum(fold.n_read for fold in first),
        "read": {name: sum(fold.read.get(name, 0) for fold in first) for name in names},
        "not_estimable": not_estimable(model, folds),
    }
