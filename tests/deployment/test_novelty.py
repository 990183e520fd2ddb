"""What a package finds unusual: genes of another patient, though ordinary by themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from inputs_fixture import fitting_config, inputs_of
from survfuse.artifacts.package_layout import PackageFolder
from survfuse.config.cohort import Covariate
from survfuse.deployment.novelty import FLAGGED, remarks_on, unusual, write_novelty
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.omics.matrix import OmicsMatrix

COVARIATES = ("age", "weight", "height")


def patients(n: int, seed: int, others: int = 0) -> CohortInputs:
    """Covariates and 30 genes, which follow them; the last patients have genes of each other."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, len(COVARIATES)))
    loadings = np.random.default_rng(0).normal(size=(len(COVARIATES), 30))
    genes = (values @ loadings + rng.normal(size=(n, 30))).astype(np.float32)
    genes[n - others :] = np.roll(genes[n - others :], 1, axis=0)
    ids = np.array([f"P{number:03d}" for number in range(n)])
    names = np.array([f"G{number}" for number in range(30)])
    matrix = OmicsMatrix(ids, names, genes, np.array(["ALL"]), np.array([0, 30]), np.arange(30))
    clinical = pd.DataFrame(values, index=ids, columns=list(COVARIATES)).astype(str)
    return inputs_of(clinical, omics=matrix)


def test_genes_of_another_patient_are_flagged_and_ones_own_are_not(tmp_path: Path) -> None:
    config = fitting_config({name: Covariate(type="continuous") for name in COVARIATES})
    study, files = patients(200, 1), PackageFolder(tmp_path)
    folds = {patient: row % 5 for row, patient in enumerate(study.patients.index)}
    write_novelty(files, study, folds, ["clinical", "omics"], config)
    found = unusual(files, patients(200, 2, others=100))
    p = np.array([one["clinical+omics"] for one in found.together.values()])
    assert (p[:100] < FLAGGED).mean() <= 0.04
    assert (p[100:] < FLAGGED).mean() > 0.7
    by_themselves = np.array([list(one.values()) for one in found.alone.values()])
    assert (by_themselves[100:] < FLAGGED).mean() <= 0.04
    told = {one.patient_id: str(one.message) for one in remarks_on(found)}
    odd = list(found.together)[100 + int(np.argmin(p[100:]))]
    assert "how the clinical data and the gene expression of this patient go together" in told[odd]


def test_who_lacks_one_of_both_is_not_compared(tmp_path: Path) -> None:
    config = fitting_config({name: Covariate(type="continuous") for name in COVARIATES})
    study, files = patients(200, 1), PackageFolder(tmp_path)
    folds = {patient: row % 5 for row, patient in enumerate(study.patients.index)}
    write_novelty(files, study, folds, ["clinical", "omics"], config)
    new = patients(5, 3)
    first = new.patients.index[0]
    found = unusual(files, new.without({"omics": [first]}))
    assert not found.together[first] and "omics" not in found.alone[first]
    assert found.together[new.patients.index[1]]
