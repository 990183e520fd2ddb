"""Gene-set files: GMT, and the wide CSV of the field with one set per column."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from survfuse.core.brought_files import UnusableFileError
from survfuse.core.errors import UserInputError
from survfuse.sheets.text_lines import remedy_of, text_lines
from survfuse.sheets.text_rows import LARGEST_CELL

GeneSets = dict[str, tuple[str, ...]]

LARGEST_BYTES = 256 << 20  # all of MSigDB takes 20 MB
OTHER_FORMATS = (".json", ".xml", ".grp", ".gmx", ".gct", ".xlsx", ".xls", ".rds", ".rda")


def read_gene_sets(path: str | Path) -> GeneSets:
    """Read gene sets, in file order; genes sorted inside a set, duplicates removed.

    `.gmt`: one set per line, tab-separated: name, description, genes. Anything else is read as
    the wide CSV: a header of set names, one gene per cell, columns of unequal length. Both may be
    gzipped, which is read to its checksum. Raises UserInputError naming file and row.
    """
    path = Path(path)
    stem = path.name.lower().removesuffix(".gz")
    if stem.endswith(OTHER_FORMATS):
        raise UserInputError(
            f"{path}: gene sets are read from .gmt (MSigDB offers it) or from a CSV with one set "
            "per column"
        )
    try:
        lines = [line.rstrip("\r\n") for line in text_lines(path, LARGEST_BYTES)]
        "".join(lines).encode()
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such gene-set file") from None
    except UnusableFileError as error:
        raise UserInputError(f"{path}: {error}; {remedy_of(str(error))}") from None
    except UnicodeEncodeError:
        raise UserInputError(f"{path}: is not UTF-8 text; save it with that encoding") from None
    except OSError as error:
        raise UserInputError(f"{path}: cannot be read: {error.strerror or error}") from None
    sets = from_gmt(lines, path) if stem.endswith(".gmt") else from_wide_csv(lines, path)
    if not sets:
        raise UserInputError(f"{path}: holds no gene set")
    return sets


def members_of(sets: GeneSets) -> set[str]:
    """All genes of all sets."""
    return {gene for members in sets.values() for gene in members}


def from_gmt(lines: Iterable[str], path: Path) -> GeneSets:
    """Parse the lines of a GMT file."""
    sets: GeneSets = {}
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) < 3 or not cells[0]:
            raise UserInputError(
                f"{path}, row {row}: a GMT line is name, description, then at least one gene, "
                "separated by tabs"
            )
        if len(cells) == 3 and re.search("[,; ]", cells[2]):
            raise UserInputError(f"{path}, row {row}: genes of a GMT line are separated by tabs")
        add_set(sets, cells[0], cells[2:], f"{path}, row {row}")
    return sets


def from_wide_csv(lines: Sequence[str], path: Path) -> GeneSets:
    """Parse the lines of a wide CSV: one column per set."""
    header = next((line for line in lines if line.strip()), "")
    if "," not in header and re.search("[\t;]", header):
        mark = "tabs" if "\t" in header else "semicolons"
        raise UserInputError(
            f"{path}: cells are separated by {mark}, in a CSV of gene sets by commas; a GMT file "
            "needs the suffix .gmt"
        )
    csv.field_size_limit(LARGEST_CELL)  # other packages raise this limit of the whole process
    try:
        rows = list(csv.reader(lines))
    except csv.Error as error:
        raise UserInputError(f"{path}: is not a CSV: {error}") from None
    refuse_long_table(rows, path)
    sets: GeneSets = {}
    for column, name in enumerate(rows[0] if rows else []):
        genes = [row[column] for row in rows[1:] if column < len(row)]
        add_set(sets, name.strip(), genes, f"{path}, column {column + 1}")
    return sets


def refuse_long_table(rows: Sequence[Sequence[str]], path: Path) -> None:
    """Raise UserInputError for a table with a set and a gene in each row."""
    if not rows or len(rows[0]) != 2 or "gene" not in rows[0][1].lower():
        return
    sets = [row[0] for row in rows[1:] if len(row) == 2]
    if len(set(sets)) * 2 <= len(sets):
        raise UserInputError(
            f"{path}: has a row for every gene of a set; write one column per set, or a GMT file"
        )


def add_set(sets: GeneSets, name: str, genes: Iterable[str], where: str) -> None:
    """Add one set, refusing nameless, repeated and empty ones."""
    members = tuple(sorted({gene.strip() for gene in genes} - {""}))
    if not name:
        raise UserInputError(f"{where}: the gene set has no name")
    if name in sets:
        raise UserInputError(f"{where}: the gene set {name!r} is defined twice")
    if not members:
        raise UserInputError(f"{where}: the gene set {name!r} lists no gene")
    sets[name] = members
