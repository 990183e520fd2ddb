"""Gene-set files: GMT, and the wide CSV of the field with one set per column."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

from survfuse.errors import UserInputError

GeneSets = dict[str, tuple[str, ...]]


def read_gene_sets(path: str | Path) -> GeneSets:
    """Read gene sets, in file order; genes sorted inside a set, duplicates removed.

    `.gmt`: one set per line, tab-separated: name, description, genes. Anything else is read as
    the wide CSV: a header of set names, one gene per cell, columns of unequal length. Both may be
    gzipped. Raises UserInputError naming file and row.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        lines = content.decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such gene-set file") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserInputError(f"{path}: not readable as text: {error}") from None
    stem = path.name.removesuffix(".gz")
    sets = from_gmt(lines, path) if stem.endswith(".gmt") else from_wide_csv(lines, path)
    if not sets:
        raise UserInputError(f"{path}: holds no gene set")
    return sets


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
        add_set(sets, cells[0], cells[2:], f"{path}, row {row}")
    return sets


def from_wide_csv(lines: Iterable[str], path: Path) -> GeneSets:
    """Parse the lines of a wide CSV: one column per set."""
    rows = list(csv.reader(lines))
    sets: GeneSets = {}
    for column, name in enumerate(rows[0] if rows else []):
        genes = [row[column] for row in rows[1:] if column < len(row)]
        add_set(sets, name.strip(), genes, f"{path}, column {column + 1}")
    return sets


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
