"""Checking settings that only the sheets show to be wrong."""

from __future__ import annotations

from survfuse.cohort.checked import Sheets
from survfuse.config.study import Config
from survfuse.sheets.findings import Findings

DIVIDING = ("cohort.site", "splits.folds")  # settings without which patients cannot be divided


def check_settings(config: Config, sheets: Sheets, found: Findings) -> None:
    """Problems of settings that only the sheets reveal."""
    if config.splits.group_by_site:
        column = config.cohort.site
        if column is None:
            found.setting("cohort.site", "is missing", "name it, or unset splits.group_by_site")
        elif sheets.patients and column in sheets.patients.rows:
            sites = sheets.patients.rows[column].nunique()
            if sites < config.splits.folds:
                problem = f"there are {sites} sites for {config.splits.folds} folds"
                remedy = "use fewer folds, or unset splits.group_by_site"
                found.setting("splits.folds", problem, remedy)
    if config.report.patients != "all" and (known := sheets.known):
        unknown = sum(patient not in known for patient in config.report.patients)
        if unknown:
            problem = f"{unknown} of these patients are not in the patient sheet"
            found.setting("report.patients", problem, "correct or remove them")
