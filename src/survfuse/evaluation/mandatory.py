"""The rows of a leaderboard without which its others cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from survfuse.config.models import ModelConfig
from survfuse.config.study import LeftOut
from survfuse.core.errors import UserInputError
from survfuse.evaluation.roles import CLINICAL
from survfuse.evaluation.rows import ORACLE


@dataclass(frozen=True)
class Mandatory:
    """What the leaderboard of a task cannot do without.

    is_clinical: whether a row, among the others, is the clinical one, with which all are compared.
    needs_clinical and needs_control: what is said where that row or the control on permuted
    outcomes is missing, after "models: the leaderboard ", with an example to add.
    """

    is_clinical: Callable[[ModelConfig, Sequence[ModelConfig]], bool]
    needs_clinical: str
    needs_control: str


def require_rows(
    mandatory: Mandatory,
    models: Sequence[ModelConfig],
    reference: str,
    left_out: Sequence[LeftOut] = (),
) -> None:
    """Raise UserInputError if the leaderboard lacks a row that makes the others readable.

    Unless it is among those that this cohort cannot have.
    """
    excused = {one.role for one in left_out}
    clinical = any(mandatory.is_clinical(model, models) for model in models)
    if not clinical and CLINICAL not in excused:
        raise UserInputError(f"models: the leaderboard {mandatory.needs_clinical}")
    control = any(model.permute_outcomes for model in models)
    if not control and "control" not in excused:
        raise UserInputError(f"models: the leaderboard {mandatory.needs_control}")
    names = [model.name for model in models]
    if reference not in names:
        raise UserInputError(
            f"evaluation.reference: there is no row {reference!r}; name one of {', '.join(names)}"
        )
    if ORACLE.model in names:
        raise UserInputError(
            f"models: the name {ORACLE.model!r} is taken by the simulated truth; rename it"
        )
