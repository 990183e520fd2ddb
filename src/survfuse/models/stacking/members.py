"""The members of the default stack, each linear in the blocks, and their cross-fitted scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.modalities.registry import PATIENT_TABLE
from survfuse.models.classical.cox import PENALISER
from survfuse.models.stacking.blocks import BlockColumns, BlockFeatures
from survfuse.models.stacking.joint_ridge import JointRidge, fit_joint_ridge
from survfuse.models.stacking.partial_likelihood import PartialLikelihood
from survfuse.models.stacking.ridge_cox import (
    coordinates,
    fit_exactly,
    fit_in_coordinates,
    stratified_folds,
)
from survfuse.models.stacking.weights import StackWeights

CROSS_FITS = 5
JOINT = "joint"


@dataclass(frozen=True)
class Design:
    """Training patients as members are fitted on them.

    names, columns: of each block, (n, p). has: (n, B). known: the place of the block of clinical
    variables, if there is one. alone: the places of the other blocks that have a member of their
    own; those of interactions have none. reduced, back: coordinates (n, r) of each block, and the
    way back.
    """

    names: tuple[str, ...]
    columns: tuple[np.ndarray, ...]
    has: np.ndarray
    known: int | None
    alone: tuple[int, ...]
    reduced: tuple[np.ndarray, ...]
    back: tuple[np.ndarray, ...]

    @staticmethod
    def of(
        names: Sequence[str],
        columns: Sequence[np.ndarray],
        has: np.ndarray,
        known: int | None,
        alone: Sequence[int],
    ) -> Design:
        """The design of blocks; coordinates are those of the patients alone, without outcomes."""
        reduced, back = zip(*(coordinates(block) for block in columns), strict=True)
        places = tuple(alone)
        return Design(tuple(names), tuple(columns), has, known, places, reduced, back)

    @property
    def others(self) -> list[int]:
        """The places of all blocks but the clinical one."""
        return [place for place in range(len(self.names)) if place != self.known]

    @property
    def joined(self) -> bool:
        """Whether there are several blocks, of which a member is fitted together."""
        return len(self.names) > 1

    @property
    def members(self) -> list[str]:
        """The clinical Cox model, one for each block, and the joint one where there are several."""
        first = [] if self.known is None else [self.known]
        named = [self.names[place] for place in (*first, *self.alone)]
        return [*named, JOINT] if self.joined else named


@dataclass(frozen=True)
class Members:
    """Fitted members: coefficients[m][b] in the coordinates of the block at place b.

    They are (r,) of a log-hazard, or (r, Q) of the linear predictors of classes. chosen: what was
    chosen for each member, as JSON.
    """

    coefficients: tuple[dict[int, np.ndarray], ...]
    chosen: tuple[dict[str, Any], ...]

    @property
    def of_each(self) -> tuple[int, ...]:
        """The shape of what a coordinate has: () or (Q,)."""
        return next((beta.shape[1:] for own in self.coefficients for beta in own.values()), ())

    def contributions(self, reduced: Sequence[np.ndarray]) -> np.ndarray:
        """(n, M, B) or (n, M, B, Q) what each block adds to the score of each member."""
        n = len(reduced[0])
        added = np.zeros((n, len(self.coefficients), len(reduced), *self.of_each))
        for m, own in enumerate(self.coefficients):
            for b, beta in own.items():
                added[:, m, b] = reduced[b] @ beta
        return added

    def of_columns(self, back: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """(M, p) or (M, p, Q) coefficients of the columns of each block, by the way `back`."""
        return tuple(
            np.stack(
                [
                    way @ own[b] if b in own else np.zeros((len(way), *self.of_each))
                    for own in self.coefficients
                ]
            )
            for b, way in enumerate(back)
        )


# Of a design, the patients to fit on (n,) bool, times, events and a seed.
Fit = Callable[[Design, np.ndarray, np.ndarray, np.ndarray, int], Members]


def fit_members(
    design: Design, rows: np.ndarray, time: np.ndarray, event: np.ndarray, seed: int
) -> Members:
    """Fit all members on the patients `rows` (n,) bool, whose outcomes alone are looked at."""
    fitted, chosen = list[dict[int, np.ndarray]](), list[dict[str, Any]]()
    time, event = time[rows], event[rows]
    free, back = clinical_columns(design, rows)
    if design.known is not None:
        alone, penalty = fit_clinical(free, time, event)
        fitted.append({design.known: alone * back})
        chosen.append({"penalty": penalty})
    for place in design.alone:
        there = design.has[rows, place]
        x = design.reduced[place][rows][there]
        model = fit_in_coordinates(x, time[there], event[there], seed)
        fitted.append({place: model.coefficients})
        chosen.append({"penalty": finite(model.penalty), "gain": model.gain})
    if design.joined:
        blocks = [design.reduced[place][rows] for place in design.others]
        joint = fit_joint_ridge(free, blocks, time, event, seed)
        own, described = joint_member(design, joint, back)
        fitted.append(own)
        chosen.append(described)
    return Members(tuple(fitted), tuple(chosen))


def joint_member(
    design: Design, joint: JointRidge, back: float
) -> tuple[dict[int, np.ndarray], dict[str, Any]]:
    """Coefficients of a joint model by block, as `Members` has them, and what was chosen for it.

    back: what those of the clinical variables are multiplied by, see `clinical_columns`.
    """
    own = dict(zip(design.others, joint.coefficients, strict=True))
    if design.known is not None:
        own[design.known] = joint.free * back
    named = [design.names[place] for place in design.others]
    penalties = dict(zip(named, map(finite, joint.penalties), strict=True))
    return own, {"penalties": penalties, "gain": joint.gain}


def clinical_columns(design: Design, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """(n, q) clinical variables of the patients `rows`, q = 0 where there are none.

    As they are standardised, not divided by their number, as in the row `clinical_cox`. And
    what coefficients of them are multiplied by to be those of the coordinates of the block.
    """
    if design.known is None:
        return np.empty((int(rows.sum()), 0)), 1.0
    back = float(np.sqrt(design.columns[design.known].shape[1]))
    return design.reduced[design.known][rows] * back, back


def fit_clinical(free: np.ndarray, time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, float]:
    """Coefficients (q,) of a Cox model of clinical variables (n, q), and its penalty."""
    likelihood, penalty = PartialLikelihood.of(time, event), PENALISER * len(time)
    return fit_exactly(free, likelihood, np.zeros(len(time)), penalty), penalty


def cross_fitted(
    design: Design, time: np.ndarray, event: np.ndarray, seed: int, fit: Fit = fit_members
) -> np.ndarray:
    """(n, M, B) contributions to the scores of members that were fitted without the patient.

    Nothing that was fitted or chosen for them has seen the patient's outcome.
    """
    folds = stratified_folds(event, CROSS_FITS, seed)
    fits = [fit(design, folds != fold, time, event, seed + 1 + fold) for fold in range(CROSS_FITS)]
    return left_out(fits, design, folds)


def left_out(fits: Sequence[Members], design: Design, folds: np.ndarray) -> np.ndarray:
    """Contributions to the scores of the members that were fitted without the patient's fold."""
    added = [fit.contributions(design.reduced) for fit in fits]
    own: np.ndarray = np.stack(added)[folds, np.arange(len(folds))]
    return own


def finite(penalty: float) -> float | None:
    """A penalty as JSON: None for an infinite one, that is, no effect."""
    return None if np.isinf(penalty) else penalty


def design_of(features: BlockFeatures, blocks: BlockColumns) -> Design:
    """The blocks as members are fitted on them."""
    known = next(
        (p for p, one in enumerate(features.blocks) if one.reads == (PATIENT_TABLE,)), None
    )
    alone = [p for p, one in enumerate(features.blocks) if len(one.reads) == 1 and p != known]
    names = [block.name for block in features.blocks]
    return Design.of(names, blocks.columns, blocks.has, known, alone)


def described_members(
    design: Design, chosen: tuple[dict[str, Any], ...], weights: StackWeights, spread: np.ndarray
) -> list[dict[str, Any]]:
    """The members with what was chosen for them, and their weights where everything is there.

    effect: log-hazard, or linear predictor, per standard deviation of the cross-fitted score, which
    is its `spread` (M,); weight: per unit of it.
    """
    full = weights.weight[weights.has.sum(axis=1).argmax()]
    return [
        {"name": name, "weight": float(weight), "effect": float(weight * deviation), **one}
        for name, weight, deviation, one in zip(design.members, full, spread, chosen, strict=True)
    ]
