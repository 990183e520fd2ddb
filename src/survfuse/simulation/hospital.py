"""Another hospital: patients of the simulated disease with other hazards and other missing genes.

What their genes show, and what their course depends on, is as in the study; the laboratory is the
study's too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path
from survfuse.simulation.cohort import patients_table, truth_table
from survfuse.simulation.genes import expression
from survfuse.simulation.sheets import write_table
from survfuse.simulation.truth import Truth, draw_truth, stream

INFORMATIVE = 1.5  # how much the factor that genes show counts against chance in whom they miss


@dataclass(frozen=True)
class Hospital:
    """hazard_factor: of every hazard. without_genes: the share of the patients whose genes miss.

    mechanism: mcar, by chance; mnar, the more likely the higher the factor that genes alone show,
    which raises the hazard, so that whoever lacks them does worse than anything else tells.
    """

    hazard_factor: float = 1.0
    without_genes: float = 0.05
    mechanism: Literal["mcar", "mnar"] = "mcar"

    def __post_init__(self) -> None:
        if self.hazard_factor <= 0:
            raise UserInputError(f"the factor of hazards is {self.hazard_factor}: give more than 0")
        if not 0 <= self.without_genes < 1:
            raise UserInputError(
                f"the share without genes is {self.without_genes}: give 0 to less than 1"
            )


def draw_hospital(hospital: Hospital, patients: int, seed: int) -> Truth:
    """Patients of a hospital; their ids begin with H. Raises what `draw_truth` does."""
    truth = draw_truth(patients, seed, hospital.hazard_factor)
    rng = stream(seed, "genes that miss")
    missed = rng.normal(size=patients)
    if hospital.mechanism == "mnar":
        missed += INFORMATIVE * truth.programme
    has_rna = np.ones(patients, dtype=bool)
    has_rna[np.argsort(-missed)[: round(hospital.without_genes * patients)]] = False
    ids = np.array([f"H{name[1:]}" for name in truth.patient_id.tolist()])
    return replace(truth, has_rna=has_rna, patient_id=ids)


def simulate_hospital(hospital: Hospital, patients: int, seed: int, study: int, out: Path) -> Truth:
    """Write patients.tsv with outcomes, omics.parquet and truth.tsv of a hospital to `out`.

    `study`: the seed of the cohort whose laboratory measured the genes. Returns the truth.
    """
    truth = draw_hospital(hospital, patients, seed)
    write_table(out / "patients.tsv", patients_table(truth))
    with atomic_path(out / "omics.parquet") as path:
        expression(truth, laboratory=study).to_parquet(path, index=False)
    write_table(out / "truth.tsv", truth_table(truth))
    return truth
