"""Reading the sheets of a cohort for what a configuration has to say of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from survfuse.config.imaging import MRI, PET
from survfuse.core.errors import UserInputError
from survfuse.modalities.omics.sheet import read_omics_sheet
from survfuse.modalities.slides.sheet import REQUIRED as SLIDE_REQUIRED
from survfuse.modalities.volumes.sheet import REQUIRED as IMAGE_REQUIRED
from survfuse.sheets.text_table import Sheet, read_sheet

# What marks the data type of a gene column, and what the configuration calls the type.
SUFFIXES = {
    **{"rnaseq": "rna", "rna": "rna", "mrna": "rna", "expr": "rna", "tpm": "rna", "fpkm": "rna"},
    **{"cnv": "cnv", "cna": "cnv", "mut": "mut", "mutation": "mut", "meth": "meth"},
    **{"mirna": "mirna", "protein": "protein", "rppa": "protein"},
}
SHARE_WITH_SUFFIX = 0.9


@dataclass(frozen=True)
class Slides:
    """Of a slide sheet: its place, slides, patients with one, and slides that are not embedded."""

    path: Path
    count: int
    patients: frozenset[str]
    unembedded: int
    roots: tuple[Path, ...]


@dataclass(frozen=True)
class Genes:
    """Of a gene matrix: its place, patients with a row, columns, and suffix by data type."""

    path: Path
    patients: frozenset[str]
    columns: int
    suffixes: dict[str, str]


@dataclass(frozen=True)
class Images:
    """Of an image sheet: its place, volumes, patients with MRI and PET, visits."""

    path: Path
    count: int
    mri: frozenset[str]
    pet: frozenset[str]
    visits: tuple[str, ...]
    roots: tuple[Path, ...]


def read_patients(path: Path) -> Sheet:
    """The patient sheet. Raises UserInputError where it has no ids, naming a column that may be."""
    sheet = read_sheet(path, [])
    if "patient_id" not in sheet.rows:
        names = [str(name) for name in sheet.rows.columns]
        unique = [name for name in names if sheet.rows[name].nunique() == len(sheet.rows)]
        named = [name for name in unique if any(word in name.lower() for word in ("id", "case"))]
        likely = (named or unique)[:1]
        advice = f"rename {likely[0]!r}, which differs in every row" if likely else "add one"
        raise UserInputError(f"{path}: there is no column patient_id; {advice}")
    return sheet


def read_slides(path: Path) -> Slides:
    """What a slide sheet holds."""
    rows = read_sheet(path, SLIDE_REQUIRED).rows.reindex(
        columns=[*SLIDE_REQUIRED, "features"], fill_value=""
    )
    unembedded = int((rows["features"] == "").sum())
    roots = roots_of(path, [*rows["path"], *rows["features"]])
    return Slides(path, len(rows), frozenset(rows["patient_id"]), unembedded, roots)


def read_genes(path: Path) -> Genes:
    """What a gene matrix holds."""
    sheet = read_omics_sheet(path)
    ids = frozenset(sheet.ids.rows["patient_id"])
    return Genes(path, ids, len(sheet.columns), suffixes_of(sheet.columns))


def suffixes_of(columns: Sequence[str]) -> dict[str, str]:
    """Suffix by data type, where almost all columns have a known one; else all are one type."""
    ends = Counter(name.rpartition("_")[2] for name in columns if "_" in name)
    known = {end: count for end, count in ends.items() if end.lower() in SUFFIXES}
    if sum(known.values()) < SHARE_WITH_SUFFIX * len(columns):
        return {}
    found: dict[str, str] = {}
    for end in sorted(known, key=lambda end: (-known[end], end)):
        kind = SUFFIXES[end.lower()]
        found[kind if kind not in found else end.lower()] = f"_{end}"
    return found


def read_images(path: Path) -> Images:
    """What an image sheet holds."""
    rows = read_sheet(path, IMAGE_REQUIRED).rows
    kinds = rows["modality"].str.lower()
    texts = [text for name in ("path", "mask", "reference", "registration") if name in rows
             for text in rows[name]]  # fmt: skip
    return Images(
        path,
        len(rows),
        frozenset(rows.loc[kinds.isin(MRI), "patient_id"]),
        frozenset(rows.loc[kinds.isin(PET), "patient_id"]),
        tuple(dict.fromkeys(rows["visit"])),
        roots_of(path, texts),
    )


def roots_of(sheet: Path, texts: Sequence[str]) -> tuple[Path, ...]:
    """Folders to declare for files of a sheet that lie outside its own folder; else none."""
    home = Path(os.path.realpath(sheet.parent))
    files = [
        Path(os.path.realpath(sheet.parent / Path(text).expanduser())) for text in texts if text
    ]
    outside = [str(file.parent) for file in files if not file.is_relative_to(home)]
    return (home, Path(os.path.commonpath(outside))) if outside else ()
