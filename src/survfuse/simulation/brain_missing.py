"""Which simulated patients have PET: a chance of its own, or one that depends on the outcome."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

CONVERTER_ODDS = 4.0  # of having PET, relative to the others, where that depends on the outcome
MECHANISMS = ("mcar", "outcome")
Mechanism = Literal["mcar", "outcome"]


def draw_pet(
    rng: np.random.Generator, converter: NDArray[np.bool_], missing: float, mechanism: Mechanism
) -> NDArray[np.bool_]:
    """Who has PET, (n,): exactly round(missing * n) have none."""
    patients = len(converter)
    lost = round(missing * patients)
    order = rng.permutation(patients)
    if mechanism == "outcome" and lost:
        from_converters = converters_without_pet(lost, int(converter.sum()), patients)
        chosen = converter[order]
        order = np.concatenate(
            [order[chosen][:from_converters], order[~chosen][: lost - from_converters]]
        )
    has_pet = np.ones(patients, bool)
    has_pet[order[:lost]] = False
    return has_pet


def converters_without_pet(lost: int, converters: int, patients: int) -> int:
    """How many of the `lost` are converters, if they keep PET at CONVERTER_ODDS times the odds."""
    others = patients - converters

    def surplus(log_odds: float) -> float:
        # log-odds of lacking PET of the others
        return float(
            others * expit(log_odds) + converters * expit(log_odds - np.log(CONVERTER_ODDS)) - lost
        )

    start = float(logit(lost / patients))
    log_odds = brentq(surplus, start - 10, start + 10)
    chosen = round(converters * float(expit(log_odds - np.log(CONVERTER_ODDS))))
    return int(np.clip(chosen, lost - others, min(converters, lost)))
