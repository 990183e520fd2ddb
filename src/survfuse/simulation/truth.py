"""Who the simulated patients are, and what truly drives their survival.

Times follow `course` with COURSE; the log-hazard is the sum of the five components below and has
mean 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from survfuse.core.errors import UserInputError
from survfuse.simulation.course import Course, follow_up, survival

Array = NDArray[np.float64]

SITES = ("North", "East", "South", "West")
SITE_SHARE = (0.4, 0.3, 0.2, 0.1)
STAGES = ("I", "II", "III", "IV")
STAGE_SHARE = (0.25, 0.30, 0.28, 0.17)
MEAN_AGE, AGE_SPREAD = 64.0, 10.0

COEFFICIENTS = {
    "morphology": 0.90,
    "programme": 0.85,
    "shared": -0.80,  # infiltration by lymphocytes protects
    "interaction": 0.60,  # of morphology times programme
    "age_per_decade": 0.35,
    "stage_per_step": 0.50,
}
COURSE = Course(shape=1.2, scale_months=36.0, accrual_months=(18.0, 70.0), dropout_months=150.0)

NO_SLIDE_SHARE, NO_RNA_SHARE, TWO_SLIDES_SHARE = 0.06, 0.05, 0.12
MIN_PATIENTS = 8


@dataclass(frozen=True)
class Truth:
    """Simulated patients: every array has shape (n,).

    `morphology`, `programme` and `shared` are independent standard normal factors; `stage` and
    `site` are positions in STAGES and SITES; `event` is true for a death, false for censoring;
    `n_slides` and `has_rna` say what was collected. `hazard_factor`: how many times as high every
    hazard is as COURSE says.
    """

    seed: int
    patient_id: NDArray[np.str_]
    morphology: Array
    programme: Array
    shared: Array
    age_years: Array
    female: NDArray[np.bool_]
    stage: NDArray[np.int64]
    site: NDArray[np.int64]
    time_months: Array
    event: NDArray[np.bool_]
    n_slides: NDArray[np.int64]
    has_rna: NDArray[np.bool_]
    hazard_factor: float = 1.0

    def components(self) -> dict[str, Array]:
        """What each source of risk adds to the log-hazard; they sum to it."""
        mean_stage = np.dot(STAGE_SHARE, range(len(STAGES)))
        return {
            "morphology": COEFFICIENTS["morphology"] * self.morphology,
            "programme": COEFFICIENTS["programme"] * self.programme,
            "shared": COEFFICIENTS["shared"] * self.shared,
            "interaction": COEFFICIENTS["interaction"] * self.morphology * self.programme,
            "clinical": COEFFICIENTS["age_per_decade"] * (self.age_years - MEAN_AGE) / 10
            + COEFFICIENTS["stage_per_step"] * (self.stage - mean_stage),
        }

    def log_hazard(self) -> Array:
        """True log-hazard relative to the baseline, (n,): the risk no model can beat."""
        return np.sum(list(self.components().values()), axis=0)

    def high_grade_share(self) -> Array:
        """Share of the tissue that is high grade, (n,): 0.04 to 0.76, rising with morphology."""
        return 0.04 + 0.72 * ndtr(self.morphology)

    def infiltrate_share(self) -> Array:
        """Share of the tissue that lymphocytes infiltrate, (n,): 0.02 to 0.42."""
        return 0.02 + 0.40 * ndtr(self.shared)

    def survival(self, months: ArrayLike) -> Array:
        """True probability of being alive at each of `months`: (n, len(months))."""
        return survival(COURSE, self.log_hazard() + np.log(self.hazard_factor), months)


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A random stream of its own for each purpose, so that changing one leaves the others."""
    return np.random.default_rng([seed, crc32(purpose.encode())])


def draw_truth(patients: int, seed: int, hazard_factor: float = 1.0) -> Truth:
    """Draw `patients` patients, whose hazards are `hazard_factor` times as high as COURSE says.

    Raises UserInputError for fewer than MIN_PATIENTS, or when by chance no two of them can be
    ranked because no death precedes another patient's last visit.
    """
    if patients < MIN_PATIENTS:
        raise UserInputError(
            f"cannot simulate {patients} patients: ask for {MIN_PATIENTS} or more, so that every "
            "kind of missing or damaged input occurs"
        )
    if seed < 0:
        raise UserInputError(f"the seed of a simulation is {seed}: give 0 or a positive number")
    rng = stream(seed, "truth")
    morphology, programme, shared = rng.standard_normal((3, patients))
    n_slides, has_rna = draw_availability(stream(seed, "availability"), patients)
    width = max(4, len(str(patients)))
    known: dict[str, Any] = {
        "seed": seed,
        "patient_id": np.array([f"P{number:0{width}d}" for number in range(1, patients + 1)]),
        "morphology": morphology,
        "programme": programme,
        "shared": shared,
        "age_years": np.clip(rng.normal(MEAN_AGE, AGE_SPREAD, patients), 30, 92).round(),
        "female": rng.random(patients) < 0.5,
        "stage": rng.choice(len(STAGES), patients, p=STAGE_SHARE),
        "site": rng.choice(len(SITES), patients, p=SITE_SHARE),
        "n_slides": n_slides,
        "has_rna": has_rna,
        "hazard_factor": hazard_factor,
    }
    unfollowed = Truth(time_months=np.zeros(patients), event=np.zeros(patients, bool), **known)
    log_hazard = unfollowed.log_hazard() + np.log(hazard_factor)
    time_months, event = follow_up(COURSE, stream(seed, "times"), log_hazard)
    if not (event & (time_months < time_months.max())).any():
        raise UserInputError(
            f"{patients} patients of seed {seed} have no comparable deaths: simulate more patients "
            "or another seed"
        )
    return Truth(time_months=time_months, event=event, **known)


def draw_availability(
    rng: np.random.Generator, patients: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """How many slides each patient has (0, 1 or 2) and whether RNA was measured.

    The counts are fixed shares, at least one patient each, and independent of everything else:
    missingness is not informative. Nobody lacks both.
    """
    order = rng.permutation(patients)
    no_slide, no_rna, two_slides = (
        max(1, round(share * patients))
        for share in (NO_SLIDE_SHARE, NO_RNA_SHARE, TWO_SLIDES_SHARE)
    )
    n_slides = np.ones(patients, np.int64)
    has_rna = np.ones(patients, bool)
    n_slides[order[:no_slide]] = 0
    has_rna[order[no_slide : no_slide + no_rna]] = False
    n_slides[order[patients - two_slides :]] = 2
    return n_slides, has_rna


def harrell_c(truth: Truth, risk: Array) -> float:
    """Harrell's C-index of a risk (n,) on the observed times; higher risk = earlier death."""
    from sksurv.metrics import concordance_index_censored

    return float(concordance_index_censored(truth.event, truth.time_months, risk)[0])


def attainable_c(truth: Truth) -> dict[str, float]:
    """C-index of the true contribution of each component and of each set of modalities.

    A model that sees only these inputs can reach about this value and, but for chance, no more;
    `oracle` is the full log-hazard, `site` the sites in order of their number (chance).
    """
    part = truth.components()
    both = part["morphology"] + part["programme"] + part["shared"] + part["interaction"]
    risks = {
        **part,
        "site": truth.site.astype(float),
        "slides": part["morphology"] + part["shared"],
        "omics": part["programme"] + part["shared"],
        "slides+omics": both,
        "oracle": both + part["clinical"],
    }
    return {name: harrell_c(truth, risk) for name, risk in risks.items()}
