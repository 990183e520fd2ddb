"""Cutting patients into batches of similar size and bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from survfuse.config.training import TrainingConfig

POOL = 8  # batches' worth of patients that are sorted by size together


def within_budget(
    rows: Sequence[int], sizes: Sequence[int], settings: TrainingConfig
) -> list[list[int]]:
    """Cut rows into batches of at most `batch_size` patients and bounded padded size.

    The bound is batch_size x max_tiles tokens, which keeps peak memory independent of the
    largest bag; a single larger bag forms a batch of its own.
    """
    budget = settings.batch_size * settings.max_tiles
    batches: list[list[int]] = []
    widest = 0
    for row, size in zip(rows, sizes, strict=True):
        grown = max(widest, size, 1)
        full = not batches or len(batches[-1]) >= settings.batch_size
        if full or grown * (len(batches[-1]) + 1) > budget:
            batches.append([])
            grown = max(size, 1)
        batches[-1].append(row)
        widest = grown
    return batches


def epoch_batches(
    rows: Sequence[int], sizes: Sequence[int], settings: TrainingConfig, rng: np.random.Generator
) -> list[list[int]]:
    """All rows once, in random batches of patients with bags of similar size.

    Patients are shuffled, sorted by size within pools of POOL batches, cut, and the batches are
    shuffled again: little padding, and yet other companions in every epoch.
    """
    order = rng.permutation(len(rows))
    pool = POOL * settings.batch_size
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        here = sorted(order[start : start + pool].tolist(), key=lambda position: sizes[position])
        batches += within_budget(
            [rows[position] for position in here], [sizes[position] for position in here], settings
        )
    return [batches[position] for position in rng.permutation(len(batches))]
