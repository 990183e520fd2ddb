"""The files that a folder needs so that the workflow runs in it, and a study that is yet empty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from survfuse.core.errors import UserInputError
from survfuse.core.files import write_text
from survfuse.core.workflow_files import PROFILES, SCHEMA

STARTER = Path(__file__).parent / "starter"
SHEETS = ("patients.tsv", "slides.tsv", "omics.tsv", "images.tsv")


def refuse_overwriting(paths: Sequence[Path], force: bool) -> None:
    """Raise UserInputError where one of the files is there already."""
    for path in paths:
        if path.exists() and not force:
            raise UserInputError(f"{path}: is there already; name another folder, or add --force")


def schema_lines() -> list[str]:
    """The first line of a configuration, by which editors complete keys and mark mistakes."""
    return [f"# yaml-language-server: $schema={SCHEMA}"] if SCHEMA.is_file() else []


def workflow_texts(folder: Path) -> dict[Path, str]:
    """Snakefile and profiles of a folder, by path: by them `snakemake` runs there as it is."""
    texts = {folder / "Snakefile": (STARTER / "Snakefile").read_text()}
    for profile in sorted(PROFILES.glob("*/config.yaml")):
        texts[folder / "profiles" / profile.relative_to(PROFILES)] = profile.read_text()
    return texts


def start_empty(folder: Path, force: bool = False) -> list[Path]:
    """Write the workflow, a commented configuration and sheets of headers; returns the files.

    Raises UserInputError where one of them is there already, unless `force`.
    """
    texts = workflow_texts(folder)
    config = (STARTER / "config.yaml").read_text()
    texts[folder / "config.yaml"] = "\n".join([*schema_lines(), config])
    texts |= {folder / name: (STARTER / name).read_text() for name in SHEETS}
    refuse_overwriting(list(texts), force)
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)
