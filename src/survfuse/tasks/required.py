"""What a leaderboard needs, asked for before anything is computed, and again before its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.evaluation.mandatory import require_rows
from survfuse.evaluation.roles import CLINICAL, COMBINING
from survfuse.evaluation.rows import role_of
from survfuse.tasks.loading import task_of


def check_leaderboard(config: Config) -> None:
    """Refuse a run that would end, after all training, without a leaderboard or patient pages.

    Raises UserInputError where a row is missing that makes the others readable, and where pages are
    asked for and no row can be shown on them.
    """
    require_rows(
        task_of(config).mandatory, config.models, config.evaluation.reference, config.left_out
    )
    roles = {role_of(model, config.models) for model in config.models}
    if config.report.patients and config.report.model is None and not roles & set(COMBINING):
        raise UserInputError(
            "report.patients asks for pages, and no model combines modalities; say in report.model "
            "which row they show"
        )


MANDATORY = {
    CLINICAL: "the clinical row, with which all others are compared",
    "control": "the control, trained on permuted outcomes",
}


def check_evaluated(config: Config, evaluation: Mapping[str, Any], path: Path) -> None:
    """Refuse to report an evaluation (read from `path`) without a row that makes others readable.

    That is, the clinical row, the control, or the reference of the differences; unless the cohort
    cannot have it, or it could be fitted in no fold, which evaluation.json says. Raises
    UserInputError.
    """
    scored = {row["model"] for row in evaluation["rows"]}
    without = {one["model"] for one in evaluation["left_out"]}
    excused = {one.role for one in config.left_out}
    for role, what in MANDATORY.items():
        names = {row.name for row in config.models if is_mandatory(row, config, role)}
        if not names & scored and not (names <= without and (names or role in excused)):
            raise UserInputError(
                f"{path}: lacks {what}{named(names)}; nothing can be concluded from the other "
                "rows, so evaluate again before the report"
            )
    if evaluation["reference"] not in scored:
        raise UserInputError(
            f"{path}: lacks the row {evaluation['reference']}, from which all differences are "
            "taken; evaluate again before the report"
        )


def is_mandatory(model: ModelConfig, config: Config, role: str) -> bool:
    """Whether a row fills a mandatory role of the leaderboard."""
    if role == "control":
        return model.permute_outcomes
    return task_of(config).mandatory.is_clinical(model, config.models)


def named(names: Sequence[str] | set[str]) -> str:
    """Names in brackets, for a message."""
    return f" ({' or '.join(sorted(names))})" if names else ""
