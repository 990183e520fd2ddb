"""Checking settings that only the sheets show to be wrong."""

from __future__ import annotations

from survfuse.cohort.checked import Sheets
from survfuse.config.study import Config
from survfuse.modalities.omics.sheet import genes_per_type
from survfuse.sheets.problems import Problem

DIVIDING = ("cohort.site", "splits.folds")  # settings without which patients cannot be divided


def check_settings(config: Config, sheets: Sheets) -> list[Problem]:
    """Problems of settings that only the sheets reveal."""
    problems = []

    def setting(key: str, problem: str, remedy: str) -> None:
        problems.append(Problem("configuration", None, key, None, problem, remedy))

    if config.splits.group_by_site:
        column = config.cohort.site
        if column is None:
            setting("cohort.site", "is missing", "name it, or unset splits.group_by_site")
        elif sheets.patients and column in sheets.patients.rows:
            sites = sheets.patients.rows[column].nunique()
            if sites < config.splits.folds:
                problem = f"there are {sites} sites for {config.splits.folds} folds"
                setting("splits.folds", problem, "use fewer folds, or unset splits.group_by_site")
    if sheets.omics:
        genes = genes_per_type(sheets.omics.columns, config.omics.suffixes)
        for kind in (kind for kind, count in genes.items() if count == 0):
            problem = f"no gene column ends with {config.omics.suffixes[kind]!r} ({kind})"
            setting("omics.suffixes", problem, "use the suffixes of your table")
        if config.omics.gene_sets and not config.omics.gene_sets.is_file():
            setting("omics.gene_sets", "no such file", "correct the path")
    for key in ("template", "template_mask", "reference_region") if sheets.images else ():
        path = getattr(config.imaging, key)
        if path is not None and not path.is_file():
            setting(f"imaging.{key}", "no such file", "correct the path")
    if config.report.patients != "all" and (known := sheets.known):
        unknown = sum(patient not in known for patient in config.report.patients)
        if unknown:
            problem = f"{unknown} of these patients are not in the patient sheet"
            setting("report.patients", problem, "correct or remove them")
    return problems
