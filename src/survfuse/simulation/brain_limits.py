"""What can be known of the simulated patients from MRI, PET and table: the limits of any model.

Factors and signs of `brain_truth` are jointly normal, so that the best guess of a factor from a
set of signs is the conditional mean of the normal distribution, and linear in them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from survfuse.simulation.brain_truth import (
    CLINICAL_SIGNS,
    COEFFICIENTS,
    HORIZON_MONTHS,
    MRI_SIGNS,
    Array,
    BrainTruth,
    factor_covariance,
    loadings,
    sign_covariance,
)


def expected_factors(truth: BrainTruth, names: Sequence[str]) -> Array:
    """E[FACTORS | these signs], (n, 4): the conditional mean of the normal distribution."""
    signs = np.column_stack([truth.sign(name) for name in names])
    gain = factor_covariance() @ loadings(names).T @ np.linalg.inv(sign_covariance(names))
    return signs @ gain.T


def decline_given_mri(truth: BrainTruth) -> tuple[Array, float]:
    """`pet_decline` given the MRI: its conditional mean (n,) and standard deviation."""
    load = loadings(["pet_decline"])
    gain = factor_covariance() @ loadings(MRI_SIGNS).T @ np.linalg.inv(sign_covariance(MRI_SIGNS))
    explained = load @ gain @ loadings(MRI_SIGNS) @ factor_covariance() @ load.T
    left = sign_covariance(["pet_decline"]) - explained
    return (expected_factors(truth, MRI_SIGNS) @ load.T)[:, 0], float(np.sqrt(left[0, 0]))


def explained_share() -> float:
    """Share of the variance of `pet_decline` between patients that the MRI explains."""
    total = sign_covariance(["pet_decline"])
    across = loadings(MRI_SIGNS) @ factor_covariance() @ loadings(["pet_decline"]).T
    explained = across.T @ np.linalg.inv(sign_covariance(MRI_SIGNS)) @ across
    return float(explained[0, 0] / total[0, 0])


def expected_log_hazard(truth: BrainTruth, names: Sequence[str], direct: bool) -> Array:
    """E[lp | these signs], (n,), with alleles and education known where `direct`.

    What is left unknown has the same normal distribution for everybody, so the probability of
    converting rises with this value and no function of the same inputs has a higher AUROC in
    expectation.
    """
    weights = [COEFFICIENTS[name] for name in ("atrophy", "hypometabolism", "tau", "age_per_sd")]
    known: Array = expected_factors(truth, names) @ np.array(weights)
    return known + truth.components()["apoe4_education"] if direct else known


def attainable_auroc(
    truth: BrainTruth, horizon_months: float = HORIZON_MONTHS, expected: bool = False
) -> dict[str, float]:
    """AUROC for conversion by the horizon that each set of inputs can reach.

    Over the patients whose label is known; with `expected` over all of them, each counted as a
    case by its true probability, which leaves out the luck of who converts when. `real_pet` and
    `synthesisable_pet` are on top of MRI and clinical table. A synthesised PET is made from the
    MRI and cannot hold more information: `synthesisable_pet` therefore equals `mri+clinical`, and
    synthesis is useful only by making that easier to learn.
    """
    clinical_mri = (*CLINICAL_SIGNS, *MRI_SIGNS)
    mri_clinical = expected_log_hazard(truth, clinical_mri, direct=True)
    risks = {
        "oracle": truth.log_hazard(),
        "real_pet": expected_log_hazard(truth, (*clinical_mri, "pet_decline"), direct=True),
        "synthesisable_pet": mri_clinical,
        "mri+clinical": mri_clinical,
        "mri": expected_log_hazard(truth, MRI_SIGNS, direct=False),
        "clinical": expected_log_hazard(truth, CLINICAL_SIGNS, direct=True),
        "site": truth.site.astype(float),
    }
    if expected:
        probability = 1 - truth.survival([horizon_months])[:, 0]
        return {name: weighted_auroc(r, probability, 1 - probability) for name, r in risks.items()}
    label = truth.label(horizon_months)
    case, control = (label == 1).astype(float), (label == 0).astype(float)
    return {name: weighted_auroc(r, case, control) for name, r in risks.items()}


def weighted_auroc(risk: Array, case: Array, control: Array) -> float:
    """Probability that a case has a higher risk than a control, tied risks counting half.

    `case` and `control` (n,) are each patient's weight as the one and as the other; no patient is
    compared with the same patient.
    """
    order = np.argsort(risk)
    risk, case, control = risk[order], case[order], control[order]
    total = np.concatenate([[0.0], np.cumsum(control)])
    below = total[np.searchsorted(risk, risk, "left")]
    not_above = total[np.searchsorted(risk, risk, "right")]
    wins = case @ (below + not_above) / 2 - case @ control / 2
    return float(wins / (case.sum() * control.sum() - case @ control))
