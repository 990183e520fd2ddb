"""Explanations of a small study, written by hand instead of by networks."""

import numpy as np

from survfuse.evaluation.explanations import FoldExplanation
from survfuse.evaluation.study import Study

GROUPS = tuple(f"GROUP_{number}" for number in range(12))
COVARIATES = ("age", "stage")


def explained(study: Study, slides: float = 1.0, genes: float = 1.0) -> list[FoldExplanation]:
    """One explanation per fold of the first repeat, whose risk is slides + genes + age.

    The genes of the patients are in GROUP_0 to GROUP_2, the other groups are noise; the first
    patient of each fold has no genes. The slides carry `slides` times the rank of the survival
    time, the genes noise of the size `genes`.
    """
    order = np.argsort(np.argsort(-study.outcome.time)) / len(study.patient_ids)
    found = []
    for fold in study.folds_of(0):
        rng = np.random.default_rng([7, fold.fold])
        n = len(fold.test)
        groups = 0.01 * rng.normal(size=(n, len(GROUPS)))
        groups[:, :3] += genes * rng.normal(size=(n, 3)) * [3, 2, 1]
        age = 0.1 * rng.normal(size=(n, len(COVARIATES)))
        morphology = slides * order[fold.test]
        groups[0] = np.nan
        own_genes = np.nan_to_num(groups).sum(axis=1)
        rest = age.sum(axis=1)
        shuffled = [rng.permutation(n) for _ in range(4)]
        permuted_genes = np.stack([morphology + own_genes[s] + rest for s in shuffled])
        permuted_genes[:, 0] = np.nan
        share = np.where(np.isnan(groups), np.nan, 2 / 3)
        found.append(
            FoldExplanation(
                repeat=0,
                fold=fold.fold,
                members=3,
                patient_ids=tuple(study.patient_ids[row] for row in fold.test),
                risk=morphology + own_genes + rest,
                at_average=morphology,
                names={"omics": GROUPS, "clinical": COVARIATES},
                attribution={"omics": groups, "clinical": age},
                same_sign={"omics": share, "clinical": np.ones_like(age)},
                permuted={
                    "slides": np.stack([morphology[s] + own_genes + rest for s in shuffled]),
                    "omics": permuted_genes,
                },
                group_attention=np.abs(groups),
                attention_agreement={"slides": np.full(n, 0.25)},
            )
        )
    return found
