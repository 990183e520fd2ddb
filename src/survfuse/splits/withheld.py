"""Drawing modalities that training patients must do without, where the cohort has them all.

For experiments on missing modalities. Only training patients lose something; what test patients
are shown is decided at prediction. Nobody loses the last modality.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from survfuse.config.missing import MissingConfig
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import WITHHELD


def withhold(
    training: pd.DataFrame,
    available: pd.DataFrame,
    slides: float,
    omics: float,
    mechanism: Literal["mcar", "mnar"],
    mnar_odds: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Who loses what in one fold: a frame `patient_id, modality`, by patient id.

    `training` has `patient_id, time_months, event`; `available` is indexed by patient id, with the
    columns slides and omics (bool). Of the k training patients who have both, `slides` and `omics`
    are the shares that lose the one or the other: exactly round(slides k), and together
    round((slides + omics) k). With `mcar` they are any of them. With `mnar`, patients with an event
    before the median event time lose something at `mnar_odds` times the odds of the others, as
    exactly as whole numbers allow and with the same counts; which of the two they lose does not
    depend on the outcome. The draw does not depend on the order of rows.

    `rng` must not be the generator that has chosen the roles, or the two would be tied. Raises
    UserInputError for shares that leave somebody without anything, or odds that are none.
    """
    if not (slides >= 0 and omics >= 0 and slides + omics <= 1 + 1e-9):
        raise UserInputError(
            f"slides cannot be withheld from a share of {slides:g} and omics from {omics:g}, as "
            "nobody may lose both; use shares from 0 to 1 that add up to at most 1"
        )
    if not 0 < mnar_odds < np.inf:
        raise UserInputError(f"odds of {mnar_odds:g} are not possible; use a positive number")
    ordered = training.sort_values("patient_id", ignore_index=True)
    has_both = available.loc[ordered["patient_id"], list(WITHHELD)].all(axis=1).to_numpy()
    ids = ordered["patient_id"].to_numpy()[has_both]
    lost = round((slides + omics) * len(ids))
    losers = rng.permutation(len(ids))
    if mechanism == "mnar":
        early = dies_early(ordered)[has_both][losers]
        from_early = early_losses(lost, int(early.sum()), len(ids), mnar_odds)
        chosen = [losers[early][:from_early], losers[~early][: lost - from_early]]
        losers = rng.permutation(np.concatenate(chosen))
    without_slides = round(slides * len(ids))
    modality = np.repeat(WITHHELD, [without_slides, lost - without_slides])
    drawn = pd.DataFrame({"patient_id": ids[losers[:lost]], "modality": modality})
    return drawn.sort_values("patient_id", ignore_index=True)


def dies_early(outcomes: pd.DataFrame) -> np.ndarray:
    """Who had the event before the median event time of these patients, (n,) bool."""
    event = outcomes["event"].to_numpy(dtype=bool)
    time = outcomes["time_months"].to_numpy(dtype=float)
    return event & (time < np.median(time[event])) if event.any() else event


def early_losses(lost: int, early: int, patients: int, odds_ratio: float) -> int:
    """How many of `lost` patients are among the `early` of all `patients`, at an odds ratio.

    x of them lose at the odds x / (early - x), the others at (lost - x) / (late - lost + x). The x
    at which the ratio of these is as asked solves a quadratic equation.
    """
    if not lost:
        return 0
    late = patients - early
    scale = max(odds_ratio, 1.0)  # against overflow
    square = (odds_ratio - 1) / scale
    linear = (odds_ratio * (early + lost) + late - lost) / scale
    constant = odds_ratio / scale * early * lost
    root = np.sqrt(max(linear**2 - 4 * square * constant, 0.0))
    # Two forms of one solution, each where it does not subtract nearly equal numbers.
    exact = 2 * constant / (linear + root) if linear > 0 else (linear - root) / (2 * square)
    return round(float(exact))


def withheld_of_folds(
    splits: pd.DataFrame,
    outcomes: pd.DataFrame,
    available: pd.DataFrame,
    missing: MissingConfig,
) -> pd.DataFrame:
    """`withhold` for the training patients of every fold: `repeat, fold, patient_id, modality`."""
    drawn = []
    folds = sorted(set(zip(splits["repeat"].tolist(), splits["fold"].tolist(), strict=True)))
    for repeat, fold in folds:
        here = (splits["repeat"] == repeat) & (splits["fold"] == fold)
        training = outcomes[~outcomes["patient_id"].isin(splits.loc[here, "patient_id"])]
        lost = withhold(
            training,
            available,
            missing.slides,
            missing.omics,
            missing.mechanism,
            missing.mnar_odds,
            np.random.default_rng([missing.seed % 2**32, repeat, fold, 1]),
        )
        drawn.append(lost.assign(repeat=repeat, fold=fold))
    return pd.concat(drawn, ignore_index=True)
