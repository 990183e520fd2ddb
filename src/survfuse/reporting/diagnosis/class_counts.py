"""How many patients each class has, as pages may tell."""

from __future__ import annotations

from typing import Any

from survfuse.artifacts.evaluation import DiagnosisEvaluation
from survfuse.reporting import disclosure


def class_rows(evaluation: DiagnosisEvaluation, least: int) -> list[dict[str, Any]]:
    """Patients of each class and, where there are any, of unknown class; None is withheld."""
    counts = evaluation["counts"]
    shown = disclosure.withhold([*counts["classes"], counts["unknown"]], least, tell_zeros=True)
    names = [*evaluation["classes"], None]
    found = [{"name": name, "n": n} for name, n in zip(names, shown, strict=True)]
    return found if counts["unknown"] else found[:-1]


def known_patients(evaluation: DiagnosisEvaluation, least: int) -> int | None:
    """Patients of known class; None where the others are withheld."""
    withheld = class_rows(evaluation, least)[-1]["n"] is None and evaluation["counts"]["unknown"]
    return None if withheld else int(evaluation["counts"]["known"])
