"""Figures and tables of the pages as files of their own, for papers.

A figure is saved as SVG, as PNG and, with the numbers that it shows, as CSV; a table as CSV. What a
page withholds is withheld in the files too: a figure is saved from what its page draws, and a table
from the page itself, whose cells it has as they are printed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from survfuse.artifacts.layout import ReportFolder
from survfuse.core.files import atomic_path, write_text
from survfuse.reporting.columns import Columns, write_csv
from survfuse.reporting.pictures.drawing import Drawing

FOLDERS = ("patients", "figures", "tables")  # of the report
KINDS = (".html", ".svg", ".png", ".csv")


@dataclass(frozen=True)
class Saved:
    """Where the figures and tables of one page are saved, below the folder of the report."""

    root: str = ""  # the way from the page to the folder of the report
    prefix: str = ""  # before the names of files, so that those of different pages differ

    def figure(self, name: str, suffix: str) -> str:
        """The file of a figure."""
        return f"figures/{self.prefix}{name}.{suffix}"

    def table(self, name: str) -> str:
        """The file of a table."""
        return f"tables/{self.prefix}{name}.csv"

    def figure_links(self, name: str) -> Markup:
        """Links to the files of a figure."""
        shown = [(kind.upper(), self.figure(name, kind)) for kind in ("svg", "png", "csv")]
        return self.links("Figure", shown)

    def table_links(self, name: str, what: str = "Table") -> Markup:
        """A link to the file of a table."""
        return self.links(what, [("CSV", self.table(name))])

    def links(self, what: str, files: Iterable[tuple[str, str]]) -> Markup:
        """Small links, each with the words for it."""
        found = [Markup('<a href="{}{}">{}</a>').format(self.root, file, w) for w, file in files]
        return Markup('<p class="files">{}: {}</p>').format(what, Markup(" · ").join(found))


def of_patient(patient_id: str) -> Saved:
    """Where the figures and tables of a patient page are saved."""
    return Saved("../", f"patients/{patient_id}/")


def save_figures(out: Path, saved: Saved, drawings: Iterable[Drawing]) -> set[Path]:
    """Write every drawing as SVG, PNG and CSV below `out`; returns the files."""
    written = set()
    for drawing in drawings:
        svg, png, numbers = (
            out / saved.figure(drawing.name, kind) for kind in ("svg", "png", "csv")
        )
        write_text(svg, drawing.as_file())
        with atomic_path(png) as temporary:
            drawing.save_png(temporary)
        write_csv(numbers, drawing.data)
        written |= {svg, png, numbers}
    return written


def save_tables(out: Path, saved: Saved, tables: Mapping[str, Columns]) -> set[Path]:
    """Write every table as CSV below `out`; returns the files."""
    written = set()
    for name, table in tables.items():
        path = out / saved.table(name)
        write_csv(path, table)
        written.add(path)
    return written


def remove_others(out: Path, written: Container[Path]) -> None:
    """Remove what an earlier run wrote into the folders of the report and this one did not."""
    for name in FOLDERS:
        remove_files(out / name, written)


def remove_patient(out: Path, patient_id: str) -> None:
    """Remove what an earlier run wrote of a patient: it would pass for what this one says."""
    ReportFolder(out).patient(patient_id).unlink(missing_ok=True)
    for name in ("figures", "tables"):
        remove_files(out / name / "patients" / patient_id, ())


def remove_files(folder: Path, kept: Container[Path]) -> None:
    """Remove the files below a folder that are of a kind this stage writes, and empty folders."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.suffix in KINDS and path not in kept:
            path.unlink()
