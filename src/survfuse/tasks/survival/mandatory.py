"""What the leaderboard of survival cannot do without."""

from __future__ import annotations

from survfuse.evaluation.mandatory import Mandatory
from survfuse.evaluation.roles import CLINICAL
from survfuse.evaluation.rows import role_of

MANDATORY = Mandatory(
    is_clinical=lambda model, models: role_of(model, models) == CLINICAL,
    needs_clinical="needs a clinical row; add {name: clinical_cox, kind: clinical_cox}",
    needs_control="needs a control trained on permuted outcomes; add a row such as {name: "
    "cmta_permuted, kind: cmta, permute_outcomes: true}",
)
