"""The summary of a cohort, against counts made by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from lifelines import KaplanMeierFitter

from survfuse.artifacts.cohort_tables import read_clinical, read_outcomes, read_slides
from survfuse.cohort.checked import Cohort
from survfuse.cohort.summary import summarise, write_cohort
from survfuse.config.study import Config
from survfuse.core.files import read_json
from survfuse.evaluation.follow_up import median_follow_up
from survfuse.sheets.problems import Note


def outcomes(times: list[float], events: list[int]) -> pd.DataFrame:
    ids = [f"P{i}" for i in range(len(times))]
    return pd.DataFrame({"patient_id": ids, "time_months": times, "event": events})


def test_median_follow_up_by_hand() -> None:
    """Censored at 2, 6, 8 among deaths at 1, 4, 7: 1 - 1/5, times 1 - 1/3, times 0 = 0 at 8.

    At risk just before 2, 6 and 8 are 5, 3 and 1 patients, so the curve is 0.8, 0.533 and 0: the
    median is 8, while the median observed time is 5.
    """
    table = outcomes([1, 2, 4, 6, 7, 8], [1, 0, 1, 0, 1, 0])
    assert median_follow_up(table) == 8.0
    curve = KaplanMeierFitter().fit(table["time_months"], table["event"] == 0)
    assert curve.predict([2, 6, 8]).tolist() == pytest.approx([0.8, 0.8 * 2 / 3, 0.0])


def test_median_follow_up_without_censoring() -> None:
    assert median_follow_up(outcomes([1, 2, 3], [1, 1, 1])) is None


@pytest.fixture
def cohort() -> Cohort:
    clinical = pd.DataFrame(
        {
            "patient_id": ["P0", "P1", "P2", "P3", "P4"],
            "site": ["B", "A", "B", "B", "A"],
            "age": ["50", "60", "", "70", "80"],
            "stage": ["I", "I", "", "II", "I"],
        }
    )
    slides = pd.DataFrame(
        {
            "slide_id": ["S0", "S1", "S2"],
            "patient_id": ["P0", "P0", "P2"],
            "path": ["/w/0.svs", "/w/1.svs", ""],
            "mpp": ["0.5", "", ""],
            "features": ["", "", "/w/2.h5"],
        }
    )
    return Cohort(
        outcomes=outcomes([10, 20, 30, 40, 50], [1, 0, 1, 0, 1]),
        clinical=clinical,
        tables={
            "slides": slides,
            "omics": pd.DataFrame(index=pd.Index(["P0", "P1", "P3", "P4"], name="patient_id")),
        },
        facts={"genes": {"rna": 7}},
        folds=None,
        notes=(Note("patients.tsv", "a note"),),
    )


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.model_validate(
        {
            "name": "t",
            "output": str(tmp_path),
            "models": [{"name": "clinical_cox", "kind": "clinical_cox"}],
            "cohort": {
                "patients": "p.tsv",
                "site": "centre",
                "covariates": {
                    "age": {"type": "continuous"},
                    "stage": {"type": "ordinal", "levels": ["I", "II", "III"]},
                },
            },
        }
    )


def test_summary(cohort: Cohort, config: Config) -> None:
    found = summarise(cohort, config)
    assert (found["n_patients"], found["n_events"]) == (5, 3)
    assert found["censored_share"] == pytest.approx(0.4)
    assert found["modalities"] == {"slides": 2, "omics": 4, "clinical": 4}
    assert found["overlap"] == [
        {"modalities": ["omics", "clinical"], "n": 3},
        {"modalities": ["slides", "omics", "clinical"], "n": 1},
        {"modalities": ["slides"], "n": 1},
    ]
    assert found["sites"] == [
        {"site": "B", "n": 3, "events": 2},
        {"site": "A", "n": 2, "events": 1},
    ]
    assert found["covariates"] == [
        {
            "name": "age",
            "type": "continuous",
            "quartiles": [57.5, 65.0, 72.5],
            "levels": None,
            "missing": 1,
        },
        {
            "name": "stage",
            "type": "ordinal",
            "quartiles": None,
            "levels": [
                {"level": "I", "n": 3},
                {"level": "II", "n": 1},
                {"level": "III", "n": 0},
            ],
            "missing": 1,
        },
    ]
    assert found["genes"] == {"rna": 7} and found["notes"] == ["a note"]
    assert set(found["endpoint"]) == {"name", "definition"}


def test_files_keep_outcomes_apart(cohort: Cohort, config: Config, tmp_path: Path) -> None:
    write_cohort(cohort, config, tmp_path)
    clinical = read_clinical(tmp_path / "clinical.tsv")
    pd.testing.assert_frame_equal(clinical, cohort.clinical)
    assert not {"time_months", "event"} & set(clinical)
    pd.testing.assert_frame_equal(read_slides(tmp_path / "slides.tsv"), cohort.tables["slides"])
    assert read_outcomes(tmp_path / "outcomes.tsv")["event"].tolist() == [1, 0, 1, 0, 1]
    assert read_json(tmp_path / "cohort.json") == summarise(cohort, config)
