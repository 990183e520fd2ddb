"""Who the patients of the simulated memory clinic are, and what truly makes them convert.

Times to conversion follow `course` with COURSE. The log-hazard lp is a known sum of three hidden
factors and of clinical variables:

- atrophy: volumes of the MRI follow it, together with age;
- hypometabolism: the PET follows it; the MRI knows it only through its correlation with atrophy;
- tau: no image shows it, only cognition hints at it;
- age, APOE e4 alleles and education act directly; the MMSE is a noisy sign of the three factors.

All of these but alleles and education are jointly normal, so that what a set of inputs predicts
about lp is a closed formula, and so is the PET that an MRI can promise (brain_limits.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from survfuse.core.errors import UserInputError
from survfuse.simulation.brain_missing import MECHANISMS, Mechanism, draw_pet
from survfuse.simulation.course import Course, follow_up, survival
from survfuse.simulation.truth import SITE_SHARE, SITES, stream
from survfuse.tasks.diagnosis.classes import conversion_label

Array = NDArray[np.float64]

MEAN_AGE, AGE_SPREAD = 73.0, 7.0
MEAN_EDUCATION, EDUCATION_SPREAD = 16.0, 3.0
ALLELE_SHARE = (0.46, 0.41, 0.13)  # none, one or two APOE e4 alleles
MEAN_ALLELES = float(np.dot(ALLELE_SHARE, range(3)))
MEAN_MMSE, MMSE_SPREAD = 26.8, 1.8

COEFFICIENTS = {
    "atrophy": 0.90,
    "hypometabolism": 1.60,
    "tau": 1.20,
    "age_per_sd": 0.10,
    "apoe4_per_allele": 0.95,
    "education_per_sd": -0.50,
}
# How far the MRI knows the hypometabolism that the PET shows: correlation of the two factors.
SHARED_CORRELATION = 0.6

FACTORS = ("atrophy", "hypometabolism", "tau", "age")
# What is observed: how it loads on the factors, and the deviation of its own part.
SIGNS: dict[str, tuple[tuple[float, float, float, float], float]] = {
    "hippocampus_loss": ((1.0, 0.0, 0.0, 0.4), 0.40),
    "ventricle_growth": ((0.5, 0.0, 0.0, 0.8), 0.40),
    "cortical_thinning": ((0.7, 0.0, 0.0, 0.4), 0.40),
    "pet_decline": ((0.0, 1.0, 0.0, 0.0), 0.30),
    "cognition_loss": ((0.35, 0.35, 0.35, 0.0), 2.40),
    "age": ((0.0, 0.0, 0.0, 1.0), 0.0),
}
MRI_SIGNS = ("hippocampus_loss", "ventricle_growth", "cortical_thinning")
CLINICAL_SIGNS = ("age", "cognition_loss")

HORIZON_MONTHS = 36.0
COURSE = Course(shape=1.3, scale_months=62.0, accrual_months=(24.0, 84.0), dropout_months=220.0)
MIN_PATIENTS = 12


@dataclass(frozen=True)
class BrainTruth:
    """Simulated patients: every array has shape (n,).

    `atrophy`, `hypometabolism` and `tau` are standard normal; the signs of `SIGNS` follow them,
    in units of the factors, higher for worse. `site` is a position in SITES; `event` is true for
    a conversion to dementia, false for censoring.
    """

    seed: int
    patient_id: NDArray[np.str_]
    atrophy: Array
    hypometabolism: Array
    tau: Array
    hippocampus_loss: Array
    ventricle_growth: Array
    cortical_thinning: Array
    pet_decline: Array
    cognition_loss: Array
    age_years: Array
    female: NDArray[np.bool_]
    apoe4_alleles: NDArray[np.int64]
    education_years: Array
    site: NDArray[np.int64]
    time_months: Array
    event: NDArray[np.bool_]
    has_pet: NDArray[np.bool_]

    def mmse(self) -> Array:
        """Mini-mental state examination, whole points, at most 30."""
        spread = float(np.sqrt(sign_covariance(["cognition_loss"])[0, 0]))
        points = MEAN_MMSE - MMSE_SPREAD * self.cognition_loss / spread
        return np.clip(points.round(), 18, 30)

    def components(self) -> dict[str, Array]:
        """What each source of risk adds to the log-hazard; they sum to it."""
        return {
            "atrophy": COEFFICIENTS["atrophy"] * self.atrophy,
            "hypometabolism": COEFFICIENTS["hypometabolism"] * self.hypometabolism,
            "tau": COEFFICIENTS["tau"] * self.tau,
            "age": COEFFICIENTS["age_per_sd"] * (self.age_years - MEAN_AGE) / AGE_SPREAD,
            "apoe4_education": COEFFICIENTS["apoe4_per_allele"]
            * (self.apoe4_alleles - MEAN_ALLELES)
            + COEFFICIENTS["education_per_sd"]
            * (self.education_years - MEAN_EDUCATION)
            / EDUCATION_SPREAD,
        }

    def log_hazard(self) -> Array:
        """True log-hazard relative to the baseline, (n,): the risk no model can beat."""
        return np.sum(list(self.components().values()), axis=0)

    def survival(self, months: ArrayLike) -> Array:
        """True probability of not having converted at each of `months`: (n, len(months))."""
        return survival(COURSE, self.log_hazard(), months)

    def label(self, horizon_months: float = HORIZON_MONTHS) -> NDArray[np.int64]:
        """1 converted by the horizon, 0 followed to it without, UNKNOWN if censored before."""
        return conversion_label(self.time_months, self.event, horizon_months)

    def sign(self, name: str) -> Array:
        """One of SIGNS, (n,), with age in standard deviations from its mean."""
        if name == "age":
            return (self.age_years - MEAN_AGE) / AGE_SPREAD
        value: Array = getattr(self, name)
        return value


def factor_covariance() -> Array:
    """Covariance of FACTORS, (4, 4)."""
    covariance = np.eye(len(FACTORS))
    covariance[0, 1] = covariance[1, 0] = SHARED_CORRELATION
    return covariance


def loadings(names: Sequence[str]) -> Array:
    """How these signs load on FACTORS, (len(names), 4)."""
    return np.array([SIGNS[name][0] for name in names]).reshape(-1, len(FACTORS))


def sign_covariance(names: Sequence[str]) -> Array:
    """Covariance of these signs over the population, (k, k)."""
    load = loadings(names)
    own = np.diag([SIGNS[name][1] ** 2 for name in names])
    return load @ factor_covariance() @ load.T + own


def draw_brain_truth(
    patients: int, seed: int, missing_pet_share: float = 0.3, mechanism: Mechanism = "mcar"
) -> BrainTruth:
    """Draw `patients` patients, of whom exactly round(missing_pet_share * patients) have no PET.

    With `mcar` they are any of them; with `outcome`, those who are seen to convert within
    HORIZON_MONTHS have PET at CONVERTER_ODDS times the odds of the others, as exactly as whole
    numbers allow. Raises UserInputError for numbers that make no cohort.
    """
    if patients < MIN_PATIENTS:
        raise UserInputError(
            f"cannot simulate a memory clinic of {patients} patients: ask for {MIN_PATIENTS} or "
            "more, so that both outcomes occur"
        )
    if seed < 0:
        raise UserInputError(f"the seed of a simulation is {seed}: give 0 or a positive number")
    if not 0 <= missing_pet_share < 1:
        raise UserInputError(
            f"a share of {missing_pet_share:g} of the patients cannot lack PET: give 0 or more and "
            "less than 1, as a model of PET needs somebody who has it"
        )
    if mechanism not in MECHANISMS:
        raise UserInputError(f"PET cannot be missing by {mechanism!r}: choose mcar or outcome")
    rng = stream(seed, "brains")
    atrophy, own, tau, age = rng.standard_normal((4, patients))
    factors = np.column_stack(
        [
            atrophy,
            SHARED_CORRELATION * atrophy + np.sqrt(1 - SHARED_CORRELATION**2) * own,
            tau,
            np.clip(age * AGE_SPREAD + MEAN_AGE, 55, 91).round(1) / AGE_SPREAD
            - MEAN_AGE / AGE_SPREAD,
        ]
    )
    education = rng.normal(MEAN_EDUCATION, EDUCATION_SPREAD, patients)
    width = max(4, len(str(patients)))
    noise = rng.standard_normal((patients, len(SIGNS)))
    signs = factors @ loadings(list(SIGNS)).T + noise * [own for _, own in SIGNS.values()]
    known: dict[str, Any] = {
        "seed": seed,
        "patient_id": np.array([f"B{number:0{width}d}" for number in range(1, patients + 1)]),
        "atrophy": factors[:, 0],
        "hypometabolism": factors[:, 1],
        "tau": factors[:, 2],
        **{name: signs[:, i] for i, name in enumerate(SIGNS) if name != "age"},
        "age_years": (factors[:, 3] * AGE_SPREAD + MEAN_AGE).round(1),
        "female": rng.random(patients) < 0.46,
        "apoe4_alleles": rng.choice(3, patients, p=ALLELE_SHARE),
        "education_years": np.clip(education, 6, 24).round(),
        "site": rng.choice(len(SITES), patients, p=SITE_SHARE),
        "has_pet": np.ones(patients, bool),
    }
    unfollowed = BrainTruth(time_months=np.zeros(patients), event=np.zeros(patients, bool), **known)
    time_months, event = follow_up(COURSE, stream(seed, "brain times"), unfollowed.log_hazard())
    known["has_pet"] = draw_pet(
        stream(seed, "pet"), event & (time_months <= HORIZON_MONTHS), missing_pet_share, mechanism
    )
    truth = BrainTruth(time_months=time_months, event=event, **known)
    label = truth.label()
    if not ((label == 1).any() and (label == 0).any()):
        raise UserInputError(
            f"{patients} patients of seed {seed} have one outcome only: simulate more patients or "
            "another seed"
        )
    return truth
