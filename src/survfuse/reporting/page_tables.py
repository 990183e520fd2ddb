"""The tables of a page as data: every `<table data-file="...">` with its cells as printed.

A cell may hold more than its value: an interval, inputs (the second line of a row's name) and
remarks below. Each becomes a column of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from survfuse.reporting.wording import MINUS

TABLE = re.compile(r'<table[^>]*\bdata-file="([^"]+)"[^>]*>.*?</table>', re.S)
ASIDE = ("interval", "inputs", "below")  # classes of what stands beside the value of a cell
ABSENT = "–"  # printed where there is no value


@dataclass
class Cell:
    """A cell of a table: its value, and what stands beside it, by class."""

    classes: frozenset[str]
    span: int = 1
    parts: dict[str, str] = field(default_factory=dict)

    def text(self, part: str = "") -> str:
        """The value, or what stands beside it, on one line."""
        return " ".join(self.parts.get(part, "").split())


@dataclass(frozen=True)
class PageTable:
    """A table of a page, row by row; `heads` is the row of its headings, if it has one."""

    heads: list[Cell]
    rows: list[list[Cell]]

    def columns(self) -> dict[str, list[str]]:
        """The table as data: numbers with a point and a hyphen for minus, the rest as printed.

        Rows that head a part of the table become the first column; columns of bars and dots, which
        have no heading, are left out.
        """
        cells = [row for row in self.rows if not heads_a_part(row)]
        width = max((len(row) for row in cells), default=0)
        heads = [cell.text() for cell in self.heads] or ["name", *["value"] * (width - 1)]
        columns: dict[str, list[str]] = {}
        if len(cells) < len(self.rows):
            columns["part"] = self.parts()
        for number in range(width):
            column = [row[number] if number < len(row) else Cell(frozenset()) for row in cells]
            head = heads[number] if number < len(heads) else ""
            if (self.heads and head) or any(cell.text() for cell in column):
                add_column(columns, head or "value", column)
        return columns

    def parts(self) -> list[str]:
        """The heading of the part that each row stands in."""
        part, found = "", []
        for row in self.rows:
            if heads_a_part(row):
                part = row[0].text()
            else:
                found.append(part)
        return found


def heads_a_part(row: list[Cell]) -> bool:
    """Whether a row is the heading of those below it."""
    return len(row) == 1 and row[0].span > 1


def add_column(columns: dict[str, list[str]], head: str, column: list[Cell]) -> None:
    """Add a column of cells to a table: the values, then what stands beside any of them."""
    name, number = head, 1
    while name in columns:
        number += 1
        name = f"{head} {number}"
    columns[name] = [value(cell.text()) for cell in column]
    if any(" to " in cell.text("interval") for cell in column):
        limits = [cell.text("interval").partition(" to ") for cell in column]
        columns[f"{name} low"] = [value(low) if to else "" for low, to, _ in limits]
        columns[f"{name} high"] = [value(high) for _, _, high in limits]
    if any("of 100" in cell.text("interval") for cell in column):
        shares = [re.search(r"\((.*) of 100\)", cell.text("interval")) for cell in column]
        columns[f"{name} of 100"] = [share[1] if share else "" for share in shares]
    for part in ("inputs", "below"):
        if any(cell.text(part) for cell in column):
            columns[f"{name} ({'inputs' if part == 'inputs' else 'remark'})"] = [
                value(cell.text(part)) for cell in column
            ]


def value(text: str) -> str:
    """What a cell prints, as data."""
    return "" if text == ABSENT else re.sub(rf"{MINUS}(?=\d)", "-", text)


def page_tables(html: str) -> dict[str, dict[str, list[str]]]:
    """The columns of the tables of a page that have a file, by its name, in their order."""
    return {found[1]: read_table(found[0]).columns() for found in TABLE.finditer(html)}


def read_table(html: str) -> PageTable:
    """One table from its HTML; columns of drawings are left out."""
    reader = TableReader()
    reader.feed(html)
    reader.close()
    rows = [[cell for cell in row if "plot" not in cell.classes] for row in reader.rows]
    heads = [cell for cell in reader.heads if "plot" not in cell.classes]
    return PageTable(heads, [row for row in rows if any(cell.parts for cell in row)])


class TableReader(HTMLParser):
    """Collects the cells of one table."""

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[Cell] = []
        self.rows: list[list[Cell]] = []
        self.in_head = False
        self.cell: Cell | None = None
        self.open: list[str] = []  # what each open element within the cell is

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        classes = frozenset(attributes.get("class", "").split())
        if tag in ("thead", "tbody"):
            self.in_head = tag == "thead"
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.cell = Cell(classes, int(attributes.get("colspan", "1")))
            (self.heads if self.in_head else self.rows[-1]).append(self.cell)
            self.open = []
        elif self.cell is not None:
            if tag == "br":
                self.add(" ")
            else:
                part = next((name for name in ASIDE if name in classes), None)
                self.open.append(part or (self.open[-1] if self.open else ""))
                if attributes.get("aria-label") in ("present", "absent"):
                    self.add("yes" if attributes["aria-label"] == "present" else "no")
                    self.open[-1] = "sign"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<line/>` and the like hold no text."""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.cell = None
        elif self.open and tag != "br":
            if self.open[-1] == "below":
                self.add(" ")
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.add(data)

    def add(self, text: str) -> None:
        """Add text to the open cell, as a part of what it stands in."""
        if self.cell is not None and (text.strip() or self.cell.parts):
            part = self.open[-1] if self.open else ""
            self.cell.parts[part] = self.cell.parts.get(part, "") + text
