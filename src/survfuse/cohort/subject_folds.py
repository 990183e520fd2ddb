"""Folds for diagnosis: by subject, stratified by class, with visits of one subject together."""

from __future__ import annotations

import numpy as np

from survfuse.cohort.splits import deal, deal_sites, generator
from survfuse.errors import UserInputError

UNKNOWN = -1


def subject_folds(
    subject: np.ndarray,
    label: np.ndarray,
    folds: int,
    seed: int,
    *,
    repeat: int = 0,
    site: np.ndarray | None = None,
) -> np.ndarray:
    """Fold (n,) in which every row is tested; all rows of a subject are in the same one.

    `subject` (n,) names, also across cohorts that share subjects; `label` (n,) from 0, or -1 for
    unknown, which is a stratum of its own. A subject counts in the stratum of its highest label
    (a converter is one at every visit). Classes are spread over the folds as evenly as whole
    numbers allow; with `site` (n,), whole sites are, as evenly as they allow. The folds depend on
    the seed, not on the order of rows. Raises UserInputError where a class has fewer subjects
    than folds, or a subject is at two sites.
    """
    names, row_of = np.unique(subject, return_inverse=True)
    highest = np.full(len(names), UNKNOWN, dtype=np.int64)
    np.maximum.at(highest, row_of, label)
    for value in np.unique(highest[highest != UNKNOWN]):
        if (count := int((highest == value).sum())) < folds:
            raise UserInputError(
                f"class {value} has {count} subjects, too few to test on in each of {folds} "
                "folds; lower splits.folds"
            )
    strata = highest - UNKNOWN
    rng = generator(seed, repeat)
    if site is None:
        return deal(strata, folds, rng)[row_of]
    first = np.zeros(len(names), dtype=np.int64)
    first[row_of[::-1]] = np.arange(len(subject))[::-1]
    of_subject = np.asarray(site)[first]
    moved = np.flatnonzero(np.asarray(site) != of_subject[row_of])
    if len(moved):
        raise UserInputError(
            f"row {moved[0]} puts a subject at a second site; give each subject one site to keep "
            "sites together"
        )
    return deal_sites(strata, of_subject.astype(str), folds, rng)[row_of]
