"""The section `models` of the configuration: the rows of the leaderboard."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from survfuse.config.section import Section

IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


class ModelConfig(Section):
    """One row of the leaderboard."""

    name: str = Field(
        pattern=IDENTIFIER,
        description="Unique name of the row, used in file names (not in job comments).",
    )
    kind: str = Field(description="Model: an entry of the registry, e.g. cmta, snn, abmil.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the model, e.g. {alignment_weight: 1.0}."
    )
    repeats: int | None = Field(
        None,
        ge=1,
        le=20,
        description="Repeats of the folds that the row is fitted in, the first ones. Default: "
        "training.repeats for a network, as many as all its parts have for a late fusion, all "
        "(splits.repeats) for any other row.",
    )
    permute_outcomes: bool = Field(
        False,
        description="Control: train on outcomes permuted among training patients. A late fusion is "
        "one if all its parts are.",
    )
