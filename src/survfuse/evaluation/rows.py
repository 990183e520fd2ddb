"""The rows of the leaderboard: their roles, names, predictions and order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.config import EvaluationConfig, ModelConfig
from survfuse.errors import UserInputError
from survfuse.evaluation.predictions import match_study, read_predictions
from survfuse.evaluation.scores import ModelPredictions, from_table
from survfuse.evaluation.study import Study, read_table, refuse_twice

# Kinds that are not a fusion of slides and genes: their role and what they read.
KINDS = {
    "site_only": ("site", ["site"]),
    "clinical_cox": ("clinical", ["clinical"]),
    "snn": ("unimodal", ["omics"]),
    "abmil": ("unimodal", ["slides"]),
    "late_fusion": ("late", []),
}
FUSION = ("fusion", ["slides", "omics"])
LABELS = {
    "site_only": "Site only",
    "clinical_cox": "Clinical Cox",
    "snn": "SNN (genes)",
    "abmil": "ABMIL (slides)",
    "cmta": "CMTA",
    "late_fusion": "Late fusion",
}
ORDER = {"site": 0, "clinical": 1, "control": 3, "oracle": 4}  # all other roles: 2


@dataclass(frozen=True)
class Row:
    """A leaderboard row before it is scored."""

    model: str
    kind: str
    label: str
    role: str
    modalities: list[str]
    predicted: ModelPredictions

    def heading(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "kind": self.kind,
            "label": self.label,
            "role": self.role,
            "modalities": self.modalities,
        }


def require_rows(
    models: Sequence[ModelConfig], config: EvaluationConfig, paths: Mapping[str, Path]
) -> None:
    """Raise UserInputError if the leaderboard lacks a row that makes the others readable."""
    roles = {describe(model, models)[0] for model in models}
    if "clinical" not in roles:
        raise UserInputError(
            "models: the leaderboard needs a clinical row; add {name: clinical_cox, kind: "
            "clinical_cox}"
        )
    if "control" not in roles:
        raise UserInputError(
            "models: the leaderboard needs a control trained on permuted outcomes; add a row such "
            "as {name: cmta_permuted, kind: cmta, permute_outcomes: true}"
        )
    names = [model.name for model in models]
    if config.reference not in names:
        raise UserInputError(
            f"evaluation.reference: there is no row {config.reference!r}; name one of "
            f"{', '.join(names)}"
        )
    if absent := [name for name in names if name not in paths]:
        raise UserInputError(f"models.{absent[0]}: there are no predictions; run predict first")
    if "oracle" in names:
        raise UserInputError("models: the name 'oracle' is taken by the simulated truth; rename it")


def describe(model: ModelConfig, models: Sequence[ModelConfig]) -> tuple[str, list[str]]:
    """Role and modalities of a row; a late fusion reads what its parts read."""
    role, modalities = KINDS.get(model.kind, FUSION)
    if role == "late":
        parts = [part for part in models if part.name in model.options.get("parts", [])]
        read = [name for part in parts for name in KINDS.get(part.kind, FUSION)[1]]
        modalities = list(dict.fromkeys(read))
    return ("control" if model.permute_outcomes else role), modalities


def read_row(model: ModelConfig, models: Sequence[ModelConfig], path: Path, study: Study) -> Row:
    """A model with its predictions, checked against the splits."""
    table = match_study(read_predictions(path), study, path)
    role, modalities = describe(model, models)
    label = LABELS.get(model.name, model.name)
    predicted = from_table(table, study.n_repeats)
    return Row(model.name, model.kind, label, role, modalities, predicted)


def oracle_row(truth: Path, study: Study) -> Row:
    """The best that any model could do: the log-hazards that the cohort was simulated with."""
    table = read_table(truth, {"log_hazard": float})
    refuse_twice(table, ["patient_id"], truth)
    known = table.set_index("patient_id")["log_hazard"]
    if absent := [patient for patient in study.patient_ids if patient not in known.index]:
        raise UserInputError(
            f"{truth}: patient {absent[0]} of the cohort is not listed; simulate the cohort again"
        )
    risk = np.tile(known.loc[list(study.patient_ids)].to_numpy(), (study.n_repeats, 1))
    label = "Oracle (true log-hazard)"
    return Row("oracle", "oracle", label, "oracle", [], ModelPredictions(risk, {}))


def place(row: Row, scored: dict[str, Any]) -> tuple[int, float, str]:
    """Sort key: site, clinical, models by falling C, controls, oracle."""
    value = scored["harrell_c"]["value"]
    return ORDER.get(row.role, 2), 1.0 if value is None else -value, row.model
