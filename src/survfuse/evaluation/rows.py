"""What rows of any leaderboard are called and there for, in which order, and compared with whom."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from survfuse.config.models import ModelConfig
from survfuse.evaluation.roles import COMBINING, ORDER
from survfuse.models.specs import reads_of, spec_of


@dataclass(frozen=True)
class Heading:
    """The names, role and inputs of a row of any leaderboard."""

    model: str
    kind: str
    label: str
    role: str
    modalities: list[str]

    def heading(self) -> dict[str, Any]:
        """These as evaluation.json holds them, whatever else the row has."""
        return {
            "model": self.model,
            "kind": self.kind,
            "label": self.label,
            "role": self.role,
            "modalities": self.modalities,
        }


@dataclass(frozen=True)
class PredictedRow(Heading, ABC):
    """A row with its predictions, in the form that its task has for them."""

    @property
    @abstractmethod
    def n_repeats(self) -> int:
        """Repeats of the folds that it has predictions of, the first ones."""


ORACLE = Heading("oracle", "oracle", "Oracle (true log-hazard)", "oracle", [])


def role_of(model: ModelConfig, models: Sequence[ModelConfig]) -> str:
    """The role of a row on the leaderboard.

    That of its kind: site, clinical, late, fusion (a network of several modalities), classical
    (another model of several), of which the last two are unimodal where they read one modality; or
    control (permuted outcomes, whatever the kind).
    """
    if model.permute_outcomes:
        return "control"
    role = spec_of(model).role
    reads_one = len(reads_of(model, models)) < 2
    return "unimodal" if reads_one and role in ("fusion", "classical") else role


def comparators(row: Heading, best: Mapping[str, str], reference: str) -> list[str]:
    """The rows a model is compared with: the reference, and simpler models.

    A model of several modalities is compared with the site and the best single modality, a fusion
    also with the best classical model. `best`: the name of the best row of each role.
    """
    against = [reference] if row.role != ORACLE.role else []
    if row.role in COMBINING:
        roles = ["site", "unimodal"] + ["classical"] * (row.role != "classical")
        against += [best[role] for role in roles if role in best]
    return [name for name in dict.fromkeys(against) if name != row.model]


def order_of(scored: Mapping[str, Any], value: float | None) -> tuple[int, float, str]:
    """Sort key of a row: site, clinical, models by the ranking metric, controls, oracle.

    `value`: of the ranking metric, the best first; None, where it cannot be estimated, comes last.
    """
    return ORDER.get(scored["role"], 2), 1.0 if value is None else -value, scored["model"]
