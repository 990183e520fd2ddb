"""A small cohort in memory whose risk is visible in tiles and genes."""

import numpy as np
import pandas as pd

from survfuse.omics.matrix import OmicsMatrix
from survfuse.training.inputs import Bag, CohortInputs


def bag(values: np.ndarray, patient: str) -> Bag:
    """A bag of tiles on a grid six columns wide."""
    rows = np.arange(len(values))
    grid = np.stack([rows % 6, rows // 6], axis=1)
    return Bag(
        slides=(values.astype(np.float32),),
        grid=grid,
        coords=grid * 256,
        tile_px0=np.full(len(values), 256.0),
        slide_id=np.full(len(values), f"S{patient}"),
    )


def cohort(
    n: int = 60, tiles: int = 12, dim: int = 5, genes: int = 8, seed: int = 0
) -> tuple[CohortInputs, np.ndarray, np.ndarray]:
    """Inputs, times (months) and events; the hazard depends on tiles and genes alike.

    The last two patients lack genes, the two before them lack slides.
    """
    generator = np.random.default_rng(seed)
    ids = [f"P{i:03d}" for i in range(n)]
    morphology, programme = generator.normal(size=(2, n))
    bags = {}
    for i, patient in enumerate(ids):
        values = generator.normal(size=(tiles + i % 5, dim))
        values[: tiles // 2, 0] += 2 * morphology[i]
        if not n - 4 <= i < n - 2:
            bags[patient] = bag(values, patient)
    values = generator.normal(size=(n, genes)).astype(np.float32)
    values[:, : genes // 2] += 1.5 * programme[:, None].astype(np.float32)
    matrix = OmicsMatrix(
        patient_ids=np.array(ids[: n - 2]),
        features=np.array([f"G{i}" for i in range(genes)]),
        values=values[: n - 2],
        groups=np.array(["one", "two"]),
        group_offsets=np.array([0, genes // 2, genes]),
        group_index=np.arange(genes),
    )
    time = generator.exponential(24 * np.exp(-1.2 * morphology - 1.2 * programme)) + 0.1
    censoring = generator.uniform(12, 72, n)
    clinical = pd.DataFrame(
        {
            "site": np.where(np.arange(n) % 3 == 0, "a", "b"),
            "age": generator.normal(60, 8, n).round(1).astype(str),
        },
        index=pd.Index(ids, name="patient_id"),
    )
    return CohortInputs(clinical, bags, matrix), np.minimum(time, censoring), time <= censoring
