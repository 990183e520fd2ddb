"""Reading a gene matrix of text, a row at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from survfuse.modalities.omics.cells import (
    DECIMAL_COMMA,
    NOT_FINITE,
    NUMERIC,
    measurement,
    measurements,
)
from survfuse.modalities.omics.table import LARGEST_CELLS, OmicsTable, columns_to_read, too_large
from survfuse.sheets.problems import Problem, stop_if_any
from survfuse.sheets.text_lines import LARGEST_MATRIX_BYTES
from survfuse.sheets.text_rows import Record, records
from survfuse.sheets.text_table import note_of_the_last_line, problem_of_length, repeated_header


def read_text(path: Path, genes_in_rows: bool, known: Collection[str]) -> OmicsTable:
    """Read the numbers of a table of text (.csv, .tsv, .txt, also .gz).

    Unlike in a sheet, rows may not end early: their cells would be taken for not measured. Raises
    SheetError where the file is unreadable, the header or a row is wrong, or a cell is neither a
    finite number nor a word for missing; of every column the first such cell is named.
    """
    lines = records(path, LARGEST_MATRIX_BYTES)
    last = next(lines, Record(1, [], True))
    header = last.cells
    label, positions = columns_to_read(path, last.row, header, genes_in_rows, known)
    after_label = positions == list(range(1, len(header)))
    labels: dict[int, str] = {}
    problems: list[Problem] = []
    wrong: dict[str, Problem] = {}
    content = bytearray()  # grows in place, where a list of rows would have to be copied
    for last in lines:
        cells = last.cells
        if len(cells) != len(header):
            if len(cells) < len(header) or any(cells[len(header) :]):
                problems.append(problem_of_length(path, last, len(header)))
                if not labels and len(problems) == 1 and len(cells) == len(header) + 1:
                    stop_if_any(problems)  # a header without its first name: all rows are too long
                continue
            cells = cells[: len(header)]
        if cells == header:
            problems.append(repeated_header(path, last.row))
            continue
        labels[last.row] = cells[label]
        texts = cells[1:] if after_label else [cells[position] for position in positions]
        if len(labels) * len(texts) > LARGEST_CELLS:
            stop_if_any([too_large(path, len(labels), len(texts))])
        values = measurements(texts)
        if values is not None:
            content += values.tobytes()
            continue
        for position, text in zip(positions, texts, strict=True):
            name = header[position]
            if name not in wrong and measurement(text) is None:
                wrong[name] = Problem(str(path), last.row, name, text, NOT_FINITE, NUMERIC)
    stop_if_any([*problems, *of_decimal_commas(wrong)])
    values = np.frombuffer(content, dtype=np.float32).reshape(len(labels), len(positions))
    columns = tuple(header[position] for position in positions)
    return OmicsTable(labels, columns, values, tuple(note_of_the_last_line(path, last)))


def of_decimal_commas(wrong: Mapping[str, Problem]) -> list[Problem]:
    """The same problems, those of numbers with a decimal comma as one."""
    commas = [problem for problem in wrong.values() if DECIMAL_COMMA.fullmatch(problem.value or "")]
    if len(commas) < 2:
        return list(wrong.values())
    others = [problem for problem in wrong.values() if problem not in commas]
    first = commas[0]
    fault = f"has a decimal comma, as have numbers in {len(commas) - 1} other columns"
    remedy = "write decimal points: 0.5, not 0,5"
    return [Problem(first.file, first.row, first.column, first.value, fault, remedy), *others]
