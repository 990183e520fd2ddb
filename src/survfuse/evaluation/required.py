"""What a leaderboard needs, asked for before anything is computed."""

from __future__ import annotations

from survfuse.config import Config
from survfuse.errors import UserInputError
from survfuse.evaluation.class_rows import require_class_rows
from survfuse.evaluation.rows import COMBINING, require_rows, role_of


def check_leaderboard(config: Config) -> None:
    """Refuse a run that would end, after all training, without a leaderboard or patient pages.

    Raises UserInputError where a row is missing that makes the others readable, and where pages are
    asked for and no row can be shown on them.
    """
    if config.task == "diagnosis":
        require_class_rows(config.models, config.evaluation)
    else:
        require_rows(config.models, config.evaluation)
    roles = {role_of(model, config.models) for model in config.models}
    if config.report.patients and config.report.model is None and not roles & set(COMBINING):
        raise UserInputError(
            "report.patients asks for pages, and no model combines modalities; say in report.model "
            "which row they show"
        )
