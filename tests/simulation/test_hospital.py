"""Another simulated hospital: its hazards, and whose genes miss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse.core.errors import UserInputError
from survfuse.simulation.hospital import Hospital, draw_hospital, simulate_hospital
from survfuse.simulation.truth import draw_truth


def test_twice_the_hazard_is_the_square_of_survival() -> None:
    usual, twice = draw_hospital(Hospital(), 40, 3), draw_hospital(Hospital(2.0), 40, 3)
    assert np.allclose(twice.survival([12, 36]), usual.survival([12, 36]) ** 2)
    assert np.array_equal(twice.log_hazard(), usual.log_hazard())
    assert (twice.time_months <= usual.time_months).all() and twice.event.sum() > usual.event.sum()


def test_the_study_itself_is_drawn_as_before() -> None:
    study, same = draw_truth(40, 3), draw_hospital(Hospital(), 40, 3)
    assert np.array_equal(study.time_months, same.time_months)
    assert not set(study.patient_id) & set(same.patient_id)


def test_genes_miss_by_chance_or_by_what_they_would_show() -> None:
    chance = draw_hospital(Hospital(without_genes=0.4), 2000, 5)
    told = draw_hospital(Hospital(without_genes=0.4, mechanism="mnar"), 2000, 5)
    for truth in (chance, told):
        assert (~truth.has_rna).sum() == 800
    apart = [t.programme[~t.has_rna].mean() - t.programme[t.has_rna].mean() for t in (chance, told)]
    assert abs(apart[0]) < 0.15
    assert apart[1] > 0.8


def test_the_sheets_have_outcomes_and_the_genes_of_who_has_them(tmp_path: Path) -> None:
    truth = simulate_hospital(Hospital(without_genes=0.25), 40, 9, 1, tmp_path)
    patients = pd.read_csv(tmp_path / "patients.tsv", sep="\t", dtype=str)
    genes = pd.read_parquet(tmp_path / "omics.parquet")
    assert patients["patient_id"].tolist() == truth.patient_id.tolist()
    assert genes["patient_id"].tolist() == truth.patient_id[truth.has_rna].tolist()
    assert {"time", "event", "age", "sex", "stage"} <= set(patients)


@pytest.mark.parametrize("wrong", [{"hazard_factor": 0.0}, {"without_genes": 1.0}])
def test_a_hospital_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserInputError, match="give"):
        Hospital(**wrong)
