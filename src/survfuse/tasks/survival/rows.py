"""The rows of the leaderboard: their roles, names, predictions and order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.artifacts.ablations import ModalitySet, read_ablated_risks, read_ablated_survival
from survfuse.artifacts.predictions import match_study, read_predictions
from survfuse.artifacts.study import CrossValidation, Study, read_table, refuse_twice
from survfuse.config.evaluation import EvaluationConfig
from survfuse.config.models import ModelConfig
from survfuse.config.study import LeftOut
from survfuse.core.errors import UserInputError
from survfuse.evaluation.repeats import repeats_in
from survfuse.evaluation.roles import COMBINING, ORDER
from survfuse.models.specs import label_of, reads_of, spec_of
from survfuse.tasks.survival.metrics import RANKING
from survfuse.tasks.survival.scores import ModelPredictions, from_table


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


ORACLE = Heading("oracle", "oracle", "Oracle (true log-hazard)", "oracle", [])


@dataclass(frozen=True)
class Row(Heading):
    """A leaderboard row before it is scored."""

    predicted: ModelPredictions
    ablated_risk: Mapping[str, np.ndarray] = field(
        default_factory=dict
    )  # by the only modality given
    # survival at the horizons, in months, from some of the inputs
    ablated_survival: Mapping[float, Mapping[ModalitySet, np.ndarray]] = field(default_factory=dict)

    @property
    def n_repeats(self) -> int:
        """Repeats of the folds that it has predictions of, the first ones."""
        return len(self.predicted.risk)


def require_rows(
    models: Sequence[ModelConfig], config: EvaluationConfig, left_out: Sequence[LeftOut] = ()
) -> None:
    """Raise UserInputError if the leaderboard lacks a row that makes the others readable.

    Unless it is among those that this cohort cannot have.
    """
    roles = {role_of(model, models) for model in models} | {one.role for one in left_out}
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
    require_names(models, config.reference)


def require_names(models: Sequence[ModelConfig], reference: str) -> None:
    """Raise UserInputError if no row is the reference, or one bears the name of the oracle."""
    names = [model.name for model in models]
    if reference not in names:
        raise UserInputError(
            f"evaluation.reference: there is no row {reference!r}; name one of {', '.join(names)}"
        )
    if ORACLE.model in names:
        raise UserInputError(
            f"models: the name {ORACLE.model!r} is taken by the simulated truth; rename it"
        )


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


def read_row(
    model: ModelConfig,
    models: Sequence[ModelConfig],
    path: Path,
    ablated_risk: Path | None,
    study: Study,
) -> Row:
    """A model with its predictions and modality ablations, checked with the splits.

    It may have fewer repeats than the study: see `repeats`.
    """
    table = read_predictions(path)
    study = study.first_repeats(repeats_in(table))
    table = match_study(table, study, path)
    reads = reads_of(model, models)
    return Row(
        model=model.name,
        kind=model.kind,
        label=label_of(model),
        role=role_of(model, models),
        modalities=list(reads),
        predicted=from_table(table, study.n_repeats),
        ablated_risk=read_ablated_risks(ablated_risk, study, reads) if ablated_risk else {},
        ablated_survival=read_ablated_survival(ablated_risk, study, reads) if ablated_risk else {},
    )


def oracle_row(truth: Path, study: Study) -> Row:
    """The best that any model could do, the same in every repeat."""
    risk = np.tile(read_true_risk(truth, study), (study.n_repeats, 1))
    return Row(**ORACLE.heading(), predicted=ModelPredictions(risk, {}))


def read_true_risk(truth: Path, study: CrossValidation) -> np.ndarray:
    """The log-hazards (n,) that a cohort was simulated with, in the order of the study.

    Raises UserInputError if a patient is listed twice or not at all.
    """
    table = read_table(truth, {"log_hazard": float})
    refuse_twice(table, ["patient_id"], truth)
    known = table.set_index("patient_id")["log_hazard"]
    if absent := [patient for patient in study.patient_ids if patient not in known.index]:
        raise UserInputError(
            f"{truth}: patient {absent[0]} of the cohort is not listed; simulate the cohort again"
        )
    return known.loc[list(study.patient_ids)].to_numpy(dtype=float)


def sort_key(row: Row, scored: dict[str, Any]) -> tuple[int, float, str]:
    """Sort key: site, clinical, models by the ranking metric, the best first, controls, oracle."""
    value = RANKING.found(scored)["value"]
    return ORDER.get(row.role, 2), 1.0 if value is None else -value, row.model
