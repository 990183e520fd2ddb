"""A package: a finished study, frozen so that it can be applied to patients who were not in it.

It is one folder. `package.json` says what it is and holds the SHA-256 of every other file, and
nothing in it is executed or unpickled when it is opened: weights and arrays are safetensors, all
else is JSON or text. No row of it belongs to a single patient of the study.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from survfuse import __version__
from survfuse.artifacts.package_layout import PackageFolder
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path, read_object, sha256_file, write_json

SCHEMA = 1
ZIPPED_ON = (1980, 1, 1, 0, 0, 0)  # the same package is the same archive whenever it is made


@dataclass(frozen=True)
class Package:
    """An opened package, whose files are what they were when it was made.

    row: of the leaderboard, which predicts. reference: the row that the study compares others with,
    None if that is the same. folds: the names of the folds whose models predict.
    identity: the SHA-256 of package.json, which stands for the whole package.
    """

    files: PackageFolder
    record: Mapping[str, Any]
    config: Config
    identity: str

    @property
    def row(self) -> str:
        return str(self.record["row"])

    @property
    def reference(self) -> str | None:
        reference = self.record["reference"]
        return None if reference == self.row else str(reference)

    @property
    def rows(self) -> list[str]:
        """The rows that are asked for predictions."""
        return [self.row, *([self.reference] if self.reference else [])]

    def folds_of(self, row: str) -> list[str]:
        return list(self.record["folds"][row])


def seal(files: PackageFolder, record: Mapping[str, Any]) -> str:
    """Write package.json over all files that are there; returns its SHA-256."""
    inside = sorted(path for path in files.root.rglob("*") if path.is_file())
    hashes = {
        path.relative_to(files.root).as_posix(): sha256_file(path)
        for path in inside
        if path != files.record
    }
    write_json(files.record, {"schema": SCHEMA, "survfuse": __version__, **record, "files": hashes})
    return sha256_file(files.record)


def write_archive(files: PackageFolder, path: Path) -> None:
    """The package as one .zip, in a folder of its own name, byte by byte the same every time."""
    inside = sorted(one for one in files.root.rglob("*") if one.is_file())
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for one in inside:
            name = f"{path.stem}/{one.relative_to(files.root).as_posix()}"
            entry = zipfile.ZipInfo(name, ZIPPED_ON)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            archive.writestr(entry, one.read_bytes())


def open_package(root: Path) -> Package:
    """Open a package and compare every file with its hash.

    Raises UserInputError where there is none, a file of it is missing or was changed, or another
    version of survfuse made it, whose models this one may run otherwise.
    """
    files = PackageFolder(root)
    if root.is_file() and root.suffix == ".zip":
        raise UserInputError(f"{root}: is the archive of a package; unzip it and name the folder")
    if not files.record.is_file():
        raise UserInputError(
            f"{root}: is no package, as it holds no {files.record.name}; name the folder that "
            "survfuse package wrote"
        )
    record = read_object(files.record)
    refuse_other_versions(record, files.record)
    refuse_changed(record, files)
    try:
        config = Config.model_validate(read_object(files.config))
    except ValidationError as error:
        raise UserInputError(
            f"{files.config}: is no configuration of survfuse {__version__} "
            f"({error.error_count()} faults); package the study again with this version"
        ) from None
    return Package(files, record, config, sha256_file(files.record))


def refuse_other_versions(record: Mapping[str, Any], path: Path) -> None:
    """Raise UserInputError unless this version of survfuse can read a package."""
    made_by = str(record.get("survfuse", ""))
    if record.get("schema") != SCHEMA or compatible(made_by) != compatible(__version__):
        raise UserInputError(
            f"{path}: the package was made by survfuse {made_by or 'of unknown version'}, and this "
            f"is {__version__}; install that version to use it, or package the study again with "
            "this one"
        )


def compatible(version: str) -> tuple[str, ...]:
    """The part of a version that must agree: the major one, and below 1.0 the minor one too."""
    numbers = re.findall(r"\d+", version)[:2]
    return tuple(numbers if numbers[:1] == ["0"] else numbers[:1])


def refuse_changed(record: Mapping[str, Any], files: PackageFolder) -> None:
    """Raise UserInputError where a file is missing or is not what it was."""
    hashes = record.get("files")
    if not isinstance(hashes, dict) or not hashes:
        raise UserInputError(f"{files.record}: lists no files; package the study again")
    for name, sha256 in hashes.items():
        path = files.root / name
        if Path(os.path.normpath(path)) != path or not path.is_file():
            raise UserInputError(
                f"{path}: is missing; the package is not whole, copy or unzip it again"
            )
        if sha256_file(path) != sha256:
            raise UserInputError(
                f"{path}: was changed after the package was made (its content is not what "
                f"{files.record.name} says); copy or unzip the package again"
            )
