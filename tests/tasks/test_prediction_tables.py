"""The tables of predictions of each task: their rows, and what modality ablations withhold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from inputs_fixture import inputs_of
from survfuse.artifacts.prediction import ClassPrediction, Prediction
from survfuse.config.study import Config
from survfuse.modalities.cohort import CohortInputs
from survfuse.tasks.loading import task_named
from training_fixture import cohort

HORIZONS = [12.0, 24.0]


def config(**sections: object) -> Config:
    given = {
        "name": "x",
        "output": "x",
        "cohort": {"patients": "p.tsv", "covariates": {"age": {"type": "continuous"}}},
        "models": [{"name": "clinical_cox", "kind": "clinical_cox"}],
        "evaluation": {"horizons_months": HORIZONS},
    }
    return Config.model_validate({**given, **sections})


def test_survival_has_a_row_for_each_patient_and_the_range_of_the_members() -> None:
    grid = config().grid_months()
    curves = np.stack([np.linspace(0.9, low, len(grid)) for low in (0.1, 0.3)])
    members = np.repeat(curves[:, None], 3, axis=1)
    prediction = Prediction(("A", "B", "C"), np.array([1.0, 2.0, 3.0]), members)
    frame = task_named("survival").prediction_tables().frame(prediction, config(), 1, 4)
    assert frame["patient_id"].tolist() == ["A", "B", "C"] and frame["risk"].tolist() == [1, 2, 3]
    assert set(frame["repeat"]) == {1} and set(frame["fold"]) == {4}
    assert [name for name in frame if name.startswith("surv_")] == [f"surv_{t:g}" for t in grid]
    at = grid.index(12.0)
    np.testing.assert_allclose(frame["surv_12"], curves[:, at].mean())
    np.testing.assert_allclose(frame["risk_low_12"], 1 - curves[1, at])
    np.testing.assert_allclose(frame["risk_high_12"], 1 - curves[0, at])
    alone = (
        task_named("survival")
        .prediction_tables()
        .frame(Prediction(("A",), np.ones(1), members[:1, :1]), config(), 0, 0)
    )
    assert alone[["risk_low_12", "risk_high_24"]].isna().all(axis=None)


def test_ablations_of_survival_give_each_modality_alone_and_what_some_patients_have() -> None:
    inputs, _, _ = cohort()  # the last two of 60 patients lack genes, the two before them slides
    ids, reads = inputs.patients.index.tolist(), ["slides", "omics", "clinical"]
    asked: list[tuple[list[str], list[str]]] = []

    def predict(left: CohortInputs, patient_ids: Sequence[str]) -> Prediction:
        given = [name for name in reads if left.available(name, patient_ids).any()]
        assert all(left.available(name, patient_ids).all() for name in given)
        asked.append((given, list(patient_ids)))
        number, months = len(patient_ids), len(config().grid_months())
        return Prediction(tuple(patient_ids), np.zeros(number), np.ones((1, number, months)))

    frames = (
        task_named("survival").prediction_tables().ablations(predict, config(), reads, inputs, ids)
    )
    assert [set(given) for given, _ in asked] == [
        *({"slides"}, {"omics"}, {"clinical"}, {"clinical", "omics"}, {"clinical", "slides"})
    ]
    # From two modalities those who have all three; from one whoever has it.
    assert [len(who) for _, who in asked] == [58, 58, 60, 56, 56]
    assert list(frames[3].columns) == ["patient_id", "inputs", "risk", "surv_12", "surv_24"]
    assert set(frames[3]["inputs"]) == {"clinical+omics"}


def test_ablations_of_a_diagnosis_also_withhold_one_kind_of_volume(tmp_path: Path) -> None:
    ids = ["A", "B", "C"]
    volumes = {"mri": dict.fromkeys(ids, tmp_path), "pet": dict.fromkeys(ids[:2], tmp_path)}
    inputs = inputs_of(pd.DataFrame({"age": ["50"] * 3}, index=ids), {}, None, volumes)
    reads = ["mri", "pet", "clinical"]
    asked: list[set[str]] = []

    def diagnose(left: CohortInputs, patient_ids: Sequence[str]) -> ClassPrediction:
        asked.append({name for name in reads if left.available(name, patient_ids).any()})
        members = np.full((1, len(patient_ids), 2), 0.5)
        return ClassPrediction(tuple(patient_ids), members, 0.5, np.zeros(len(patient_ids), bool))

    frames = (
        task_named("diagnosis")
        .prediction_tables()
        .ablations(diagnose, config(), reads, inputs, ids)
    )
    named = [frame["inputs"].unique().tolist() for frame in frames]
    assert named == [["mri"], ["without mri"], ["pet"], ["without pet"], ["clinical"]]
    assert asked == [{"mri"}, {"pet", "clinical"}, {"pet"}, {"mri", "clinical"}, {"clinical"}]
    assert [frame["patient_id"].tolist() for frame in frames] == [ids, ids, ids[:2], ids[:2], ids]
    assert list(frames[0].columns) == ["patient_id", "inputs", "synthesised", "p_0", "p_1"]
