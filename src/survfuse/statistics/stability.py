"""Whether models fitted on different folds, or from different seeds, point at the same things.

The models of two folds share most of their training patients, so that their agreement says how
far an explanation depends on the sample at hand; it overstates what a new cohort would show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import hypergeom, rankdata

TOP = 10


@dataclass(frozen=True)
class Stability:
    """Agreement of the rankings that several folds give to the same parts.

    spearman: mean rank correlation over all pairs of folds, with its lowest and highest; 0 is
    chance. shared: how many of the `top` most important parts two folds have in common, on
    average, and jaccard: these over the parts in either list; each with its expectation for two
    random lists. What cannot be computed is None, and `reason` says why.
    """

    folds: int
    parts: int
    top: int
    spearman: float | None = None
    lowest: float | None = None
    highest: float | None = None
    shared: float | None = None
    shared_by_chance: float | None = None
    jaccard: float | None = None
    jaccard_by_chance: float | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields; `reason` only when there is one."""
        fields = asdict(self)
        return fields if self.reason else {k: v for k, v in fields.items() if k != "reason"}


def stability(per_fold: Sequence[np.ndarray], top: int = TOP) -> Stability:
    """Agreement between folds on which parts matter, from one array (n_fold, parts) per fold.

    The importance of a part in a fold is its mean magnitude over the patients tested there; rows
    of NaN are patients without the modality. A fold that has no such patient, or to which all
    parts are equal, ranks nothing and is left out. At most half of the parts count as top.
    """
    parts = per_fold[0].shape[1] if len(per_fold) else 0
    top = min(top, parts // 2)
    if parts < 2:
        return Stability(0, parts, top, reason="there are no two parts to rank")
    ranked = [found for values in per_fold if np.ptp(found := importance(values)) > 0]
    if len(ranked) < 2:
        reason = f"{len(ranked)} of {len(per_fold)} folds rank the parts, two are needed"
        return Stability(len(ranked), parts, top, reason=reason)
    correlations = pairwise_spearman(np.stack(ranked))
    lists = [top_parts(found, top) for found in ranked]
    pairs = list(combinations(lists, 2))
    return Stability(
        folds=len(ranked),
        parts=parts,
        top=top,
        spearman=float(correlations.mean()),
        lowest=float(correlations.min()),
        highest=float(correlations.max()),
        shared=float(np.mean([len(a & b) for a, b in pairs])),
        shared_by_chance=top**2 / parts,
        jaccard=float(np.mean([len(a & b) / len(a | b) for a, b in pairs])),
        jaccard_by_chance=jaccard_by_chance(parts, top),
    )


def importance(values: np.ndarray) -> np.ndarray:
    """Mean magnitude (parts,) over the rows of (n, parts) without NaN; NaN if there is none."""
    known = values[~np.isnan(values).any(axis=1)]
    return np.abs(known).mean(axis=0) if len(known) else np.full(values.shape[1], np.nan)


def top_parts(found: np.ndarray, top: int) -> set[int]:
    """The parts of largest importance; one without any importance is never among them."""
    order = np.argsort(-found, kind="stable")[:top]
    return {int(part) for part in order if found[part] > 0}


def jaccard_by_chance(parts: int, top: int) -> float:
    """Expected intersection over union of two independent random lists of `top` of the parts."""
    common = np.arange(top + 1)
    return float(hypergeom.pmf(common, parts, top, top) @ (common / (2 * top - common)))


def pairwise_spearman(values: np.ndarray) -> np.ndarray:
    """Rank correlations of all pairs of rows of (r, k), (r (r - 1) / 2,); NaN for constant rows."""
    ranks = rankdata(values, axis=1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1))
    first, second = np.triu_indices(len(values), 1)
    with np.errstate(invalid="ignore"):
        return (centred[first] * centred[second]).sum(axis=1) / (length[first] * length[second])


def member_agreement(weights: Sequence[np.ndarray]) -> float:
    """Mean rank correlation between the members' weights (N,) of one patient's tiles or groups.

    NaN where there are no two members with weights that differ between at least two tiles.
    """
    if len(weights[0]) < 2:
        return float("nan")
    found = pairwise_spearman(np.stack(weights))
    known = found[np.isfinite(found)]
    return float(known.mean()) if len(known) else float("nan")
