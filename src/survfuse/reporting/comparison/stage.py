"""The comparison of finished studies: compare.json, and its page with figures and tables."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from survfuse.artifacts.comparison import write_comparison
from survfuse.artifacts.layout import ComparisonFolder
from survfuse.evaluation.pooling import compare_studies
from survfuse.reporting.comparison.page import comparison_page
from survfuse.reporting.render import write_page
from survfuse.tasks.finished import read_studies

log = logging.getLogger(__name__)


def compare(
    folders: Sequence[Path], out: Path, rows: Sequence[str] = (), reference: str | None = None
) -> None:
    """Pool the studies in folders of results, and write what was found to the folder `out`.

    `rows` and `reference` are names of rows, see `compare_studies`. Raises UserInputError where the
    studies cannot be compared, before anything is written.
    """
    studies = read_studies(folders)
    compared = compare_studies(studies, rows, reference)
    files = ComparisonFolder(out)
    context = comparison_page(compared, studies[0].comparable)
    write_page("comparison.html.j2", context, files.page, out)
    write_comparison(files.record, compared)
    for sentence in dict.fromkeys(one["sentence"] for one in compared["left_out"]):
        log.warning("%s", sentence)
    log.info(
        "%d studies, %d rows against %s: %s and %s written, figures and tables beside them",
        len(studies),
        len(compared["rows"]),
        compared["reference"],
        files.record,
        files.page,
    )
