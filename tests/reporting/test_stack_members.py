"""The members of a stack and their weights over the folds, as the cohort page lists them."""

from __future__ import annotations

from typing import Any

from survfuse.models.stacking.members import JOINT
from survfuse.reporting.sections.stack_members import LEAST_EFFECT, MemberRow, stack_tables

LABELS = {"survfuse": "survfuse", "genes": "Genes alone"}


def fit(model: str, **effects: float) -> dict[str, Any]:
    """What fit.json of a fold says of a stack."""
    members = [{"name": name, "effect": effect, "weight": 1.0} for name, effect in effects.items()]
    return {"model": {"name": model}, "stack": members}


def test_effects_are_summarised_over_the_folds() -> None:
    fits = [
        fit("survfuse", clinical=0.4, rna=0.0, joint=LEAST_EFFECT),
        fit("survfuse", clinical=0.2, rna=0.3, joint=0.0),
        fit("survfuse", clinical=0.9, rna=0.1, joint=0.0),
    ]
    (table,) = stack_tables(fits, LABELS, "log-hazard")
    assert (table.model, table.label, table.unit) == ("survfuse", "survfuse", "log-hazard")
    assert JOINT == "joint"
    assert table.rows == [
        MemberRow("clinical data", 0.4, 0.2, 0.9, 3, 3),
        MemberRow("rna", 0.1, 0.0, 0.3, 2, 3),
        MemberRow("all blocks jointly", 0.0, 0.0, LEAST_EFFECT, 1, 3),
    ]


def test_a_block_that_some_folds_lack_counts_those_that_have_it() -> None:
    fits = [fit("survfuse", clinical=0.4), fit("survfuse", clinical=0.2, rna=0.3)]
    (table,) = stack_tables(fits, LABELS, "log-hazard")
    assert [(row.name, row.counts, row.folds) for row in table.rows] == [
        ("clinical data", 2, 2),
        ("rna", 1, 1),
    ]


def test_other_rows_and_controls_are_no_stacks() -> None:
    network = {"model": {"name": "genes"}, "members": 3}
    assert (
        stack_tables([network, fit("survfuse_permuted", clinical=0.1)], LABELS, "log-hazard") == []
    )
