"""Bags of tile embeddings without slides: the morphology as a test of models alone needs it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from survfuse.simulation.truth import SITES, Truth, stream

SEPARATION = 3.0  # distance of a tile class from ordinary tissue, in deviations of tile noise
PATIENT_SPREAD, SITE_SPREAD = 0.1, 0.2  # per dimension, in the same unit


def token_bags(truth: Truth, tiles: int, dim: int, seed: int) -> list[NDArray[np.float32]]:
    """One bag of embeddings per patient, (N_i, dim) float32; N_i = 0 without a slide.

    N_i is between half and one and a half times `tiles` for every slide. A tile is high grade,
    or infiltrated, or both, with the patient's share of each; either adds a fixed direction.
    Patients and sites add a shift of their own to all tiles, which says nothing about survival.
    """
    rng = stream(seed, "tokens")
    n = len(truth.patient_id)
    counts = rng.integers(max(1, tiles // 2), max(1, 3 * tiles // 2) + 1, n) * truth.n_slides
    owner = np.repeat(np.arange(n), counts)
    directions = np.linalg.qr(rng.standard_normal((dim, 2)))[0].T * SEPARATION
    offsets = rng.normal(0, PATIENT_SPREAD, (n, dim))
    offsets += rng.normal(0, SITE_SPREAD, (len(SITES), dim))[truth.site]

    tokens = rng.standard_normal((len(owner), dim), dtype=np.float32)
    tokens += offsets.astype(np.float32)[owner]
    shares = np.stack([truth.high_grade_share(), truth.infiltrate_share()], axis=1)
    kinds = rng.random((len(owner), 2)) < shares[owner]
    tokens += kinds.astype(np.float32) @ directions.astype(np.float32)
    return np.split(tokens, np.cumsum(counts)[:-1])
